import csv
import gzip
import io
from datetime import UTC, datetime, timedelta

import pytest

from deploy.feed import reading
from deploy.feed.reading import BadFile, csv_lines, header_of, json_lines, known
from deploy.formats import cfpb, incidents, nyc311
from deploy.formats.plain import BadMap, by_header, csv_format, parse_map
from deploy.formats.rows import BadRow, canonical, present

CFPB = {
    "date_received": "2023-02-01",
    "product": "Toaster loan",
    "issue": "Burnt",
    "complaint_id": "77",
    "zip_code": "2138",
    "tags": "Older American, Servicemember",
}
INCIDENT = {
    "number": "INC9",
    "incident_state": "New",
    "sys_mod_count": "0",
    "sys_updated_at": "1/3/2016 09:05",
    "opened_at": "29/2/2016 01:16",
    "category": "Category 1",
    "subcategory": "?",
    "u_symptom": "Symptom  2",
    "caller_id": "Caller 4",
    "resolved_at": "9/3/2016 10:00",
    "closed_code": "code 5",
}
REQUEST = {
    "unique_key": "5",
    "created_date": "2024-04-16T02:05:59.000",
    "complaint_type": "Noise",
    "descriptor": "Unspecified",
    "status": "Open",
}


@pytest.mark.parametrize(
    ("text", "meant"), [("", None), ("  ", None), ("None", None), ("N/A", None), ("?", None), ("Unspecified", None), (" a ", "a")]
)
def test_what_is_missing_is_absent_whatever_it_is_called(text, meant):
    assert present(text) == meant


@pytest.mark.parametrize(
    ("written", "name"), [("Sub_product", "sub_product"), ("Sub-product", "sub_product"), ("Timely response?", "timely_response")]
)
def test_a_column_has_one_name_in_all_extracts(written, name):
    assert canonical(written) == name


@pytest.mark.parametrize("text", ["2023-02-01", "01-02-2023", "02/01/23", "02/01/2023"])
def test_a_day_is_the_same_day_in_all_four_formats(text):
    assert cfpb.day(text) == datetime(2023, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2023-13-01", "31-02-2023", "13/25/23", "02/01/123"])
def test_what_is_no_day_is_a_bad_row(text):
    with pytest.raises(BadRow, match="is not a day"):
        cfpb.day(text)


def test_two_extracts_of_one_complaint_are_equal():
    one = cfpb.read({**CFPB, "sub_issue": "", "zip_code": "02138"})
    other = cfpb.read({**CFPB, "date_received": "01-02-2023", "sub_issue": "None", "zip_code": "2138"})
    assert one == other
    assert one["details"] == {"zip_code": "02138"}
    assert one["tags"] == ("Older American", "Servicemember")


def test_a_masked_zip_code_stays_masked():
    assert cfpb.zip_code("770XX") == "770XX"


def test_a_complaint_without_its_number_is_a_bad_row():
    with pytest.raises(BadRow, match="Complaint ID is empty"):
        cfpb.read({**CFPB, "complaint_id": ""})


def test_the_citys_times_are_on_the_citys_clocks():
    assert nyc311.moment("2024-04-16T02:05:59.000").utcoffset() == timedelta(hours=-4)
    assert nyc311.moment("2024-01-16T02:05:59.000").utcoffset() == timedelta(hours=-5)


def test_a_request_without_a_descriptor_is_about_its_kind():
    read = nyc311.read(REQUEST)
    assert (read["issue"], read["summary"], read["upstream_status"]) == ("Noise", "Noise", "Open")


def test_an_incident_does_not_know_its_end_beforehand():
    read = incidents.read(INCIDENT)
    assert "code 5" not in str(read)
    assert "9/3/2016" not in str(read)
    assert read["reported_at"] == datetime(2016, 2, 29, 1, 16, tzinfo=UTC)
    assert read["issue"] == "Category 1, Symptom 2"
    assert read["customer"] == {"ref": "Caller 4", "kind": "internal"}


@pytest.mark.parametrize("change", [{"incident_state": "Active"}, {"sys_updated_at": "1/3/2016 09:06"}, {"sys_mod_count": "1"}])
def test_a_changed_incident_has_another_version(change):
    assert incidents.read({**INCIDENT, **change})["upstream_version"] != incidents.read(INCIDENT)["upstream_version"]


@pytest.mark.parametrize("text", ["2016-02-29 01:16", "30/2/2016 01:16", "29/2/2016"])
def test_what_is_no_time_is_a_bad_row(text):
    with pytest.raises(BadRow, match="is not a time"):
        incidents.moment(text)


def test_a_map_names_fields_and_details():
    mapped = by_header(
        parse_map(["ref=Ticket", "customer.name=Who", "details.colour=Colour"]), ["Ticket", "Who", "Colour", "narrative", "Else"]
    )
    read = csv_format(mapped, "shop").read({"Ticket": "7", "Who": "Mia", "Colour": "red", "narrative": "Burnt.", "Else": "x"})
    assert read == {
        "source": "shop",
        "ref": "7",
        "narrative": "Burnt.",
        "customer": {"name": "Mia"},
        "details": {"colour": "red"},
    }


@pytest.mark.parametrize(("text", "precision"), [("2026-03-04", "day"), ("2026-03-04T10:15:00", "second")])
def test_a_day_alone_is_said_to_be_precise_to_the_day(text, precision):
    read = csv_format({"ref": "ref", "occurred_at": "occurred_at"}, "shop").read({"ref": "7", "occurred_at": text})
    assert read["occurred_precision"] == precision
    assert read["occurred_at"].tzinfo is UTC


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        (["ref"], "field=column"),
        (["colour=Colour"], "no field"),
        (["ref=A", "ref=B"], "twice"),
        (["details.=A"], "no field"),
        (["ref=Nowhere"], "no column"),
        (["summary=A"], "ref"),
        (["ref=C"], "ref: the file has 2 columns 'C'"),
    ],
)
def test_a_map_that_cannot_be_used_says_why(pairs, why):
    with pytest.raises(BadMap, match=why):
        by_header(parse_map(pairs), ["A", "B", "C", "C"])


def test_a_column_that_nobody_uses_may_be_there_twice():
    assert by_header(parse_map(["ref=A", "summary=B"]), ["A", "B", "C", "C", "summary", "summary"]) == {"ref": "A", "summary": "B"}


def written(tmp_path, text, *, zipped=False):
    file = tmp_path / ("rows.csv.gz" if zipped else "rows.csv")
    data = text.encode()
    file.write_bytes(gzip.compress(data) if zipped else data)
    return str(file)


def as_csv(*records):
    text = io.StringIO()
    csv.writer(text).writerows(records)
    return text.getvalue()


HEADER = ["Date_received", "Product", "Issue", "Consumer_complaint_narrative", "Complaint_ID"]


@pytest.mark.parametrize("zipped", [False, True])
def test_records_are_rows_and_lines_are_where_they_begin(tmp_path, zipped):
    text = as_csv(HEADER, ["01-02-2023", "P", "I", "one\r\ntwo", "1"], ["01-02-2023", "P", "I", "", "2"])
    lines = list(csv_lines(written(tmp_path, text, zipped=zipped), known(cfpb.FORMAT)))
    assert [line.number for line in lines] == [2, 4]
    assert [line.fields["ref"] for line in lines] == ["1", "2"]
    assert "narrative" not in lines[1].fields


def test_a_cut_last_record_is_a_bad_row(tmp_path):
    (line,) = csv_lines(written(tmp_path, as_csv(HEADER) + "01-02-2023,Pro"), known(cfpb.FORMAT))
    assert line.bad == "2 of 5 fields; it seems to be cut off"


def tickets(tmp_path, text):
    form = csv_format({"ref": "ref", "narrative": "narrative"}, "shop")
    return [line.bad or line.fields["ref"] for line in csv_lines(written(tmp_path, "ref,narrative\n" + text), known(form), exact=True)]


def test_a_quotation_mark_that_is_never_closed_makes_a_bad_row_of_all_that_stands_inside(tmp_path):
    text = 'A-0,"The bread\nwas wet."\nA-1,"The bread was wet.\nA-2,The cake was dry.\nA-3,It was late.\n'
    never_closed = "a quotation mark is never closed; "
    assert tickets(tmp_path, text) == ["A-0", never_closed + "the lines to 6, the file's last, stand inside it"]
    assert tickets(tmp_path, 'A-1,"The bre') == [never_closed + "it seems to be cut off"]
    assert tickets(tmp_path, 'A-1,"The bread"') == ["A-1"]


def test_a_row_that_begins_inside_a_field_of_another_is_not_taken_for_a_part_of_it(tmp_path):
    bad, whole = tickets(tmp_path, 'A-1,"The bread was wet.\nA-2,"The cake was dry."\nA-3,It was late.\n')
    assert bad.startswith("this is not CSV: ")
    assert whole == "A-3"


def test_the_lines_of_a_long_field_are_no_rows_of_their_own(tmp_path):
    long = "\n99,ghost" * 20_000
    assert tickets(tmp_path, f'A-1,"{long}"\nA-2,"It was late."\n') == ["A-1", "A-2"], "its length is judged by what it means"


def test_beyond_a_field_without_an_end_nothing_is_guessed(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "FIELD_CHARACTERS_MAX", 100)
    before = csv.field_size_limit(reading.FIELD_CHARACTERS_MAX)
    try:
        (line,) = tickets(tmp_path, 'A-1,"The bread was wet.\n' + "99,ghost\n" * 100)
    finally:
        csv.field_size_limit(before)
    assert line == "a field is longer than 100 characters: is a quotation mark missing? The file is not read beyond it"


def test_a_file_that_is_cut_in_its_zip_says_so_and_ends(tmp_path):
    file = tmp_path / "cut.gz"
    whole = gzip.compress(as_csv(HEADER, *(["01-02-2023", "P", "I", str(number) * 50, str(number)] for number in range(5000))).encode())
    file.write_bytes(whole[: len(whole) // 2])
    lines = list(csv_lines(str(file), known(cfpb.FORMAT)))
    assert lines[-1].bad.startswith("the file cannot be read beyond this line")
    assert all(line.fields for line in lines[:-1])


def test_a_file_of_another_kind_is_refused_before_its_rows(tmp_path):
    with pytest.raises(BadFile, match="no column unique_key"):
        header_of(written(tmp_path, as_csv(HEADER)), known(nyc311.FORMAT))


def test_a_column_that_is_there_twice_is_refused_before_the_rows(tmp_path):
    with pytest.raises(BadFile, match="it has 2 columns complaint_id: which of them counts"):
        header_of(written(tmp_path, as_csv([*HEADER, "Complaint ID", "", ""])), known(cfpb.FORMAT))
    header_of(written(tmp_path, as_csv([*HEADER, "", ""])), known(cfpb.FORMAT))


def test_lines_of_json_keep_their_own_source(tmp_path):
    file = written(tmp_path, '{"ref": "1"}\n\n{"ref": "2", "source": "b"}\n[]\n{"ref"\n')
    lines = list(json_lines(file, "a"))
    assert [line.fields and line.fields["source"] for line in lines] == ["a", "b", None, None]
    assert [line.number for line in lines] == [1, 3, 4, 5]
    assert lines[2].bad == "a line must be one JSON object"
    assert lines[3].bad.startswith("this is not JSON")
