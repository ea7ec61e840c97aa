"""What is stored and is not what was written is said to be damaged, whatever it is."""

import hashlib

import pytest

from shared.contract.machine import PublishPolicy
from shared.machine.head import Seen
from shared.machine.stored import Damaged, policy_of, seen_of
from shared.policy.loader import shipped, shipped_body

HASH = "ab" * 32


def test_what_a_head_has_seen_is_read():
    told = f'{{"intake/3":[7,"{HASH}"],"intake.commands/1":[2,""]}}'
    assert seen_of({"shard": 3, "seen": told}) == {"intake/3": Seen(7, bytes.fromhex(HASH)), "intake.commands/1": Seen(2, b"")}


@pytest.mark.parametrize(
    "told",
    [
        "", "{", "[]", "null",
        '{"intake/3":7}', '{"intake/3":[7]}', '{"intake/3":["7",""]}', '{"intake/3":[7,"xy"]}', '{"intake/3":[7,"abc"]}',
        '{"intake/3":[7,5]}', '{"intake":[7,""]}', '{"intake/x":[7,""]}',
    ],
)  # fmt: skip
def test_what_a_head_could_never_have_seen_is_damage(told):
    with pytest.raises(Damaged, match="its head can't be read: seen") as found:
        seen_of({"shard": 3, "seen": told})
    assert found.value.shard == 3


def test_a_policy_is_the_one_that_its_digest_names():
    import rfc8785  # noqa: PLC0415

    body = rfc8785.dumps(PublishPolicy.model_validate_json(shipped_body()).policy)
    digest = hashlib.sha256(body).hexdigest()
    assert policy_of(digest, body) == shipped()
    for changed, what in ((body.replace(b'"version":1', b'"version":2'), "was changed"), (b"{", "was changed"), (None, "is gone")):
        with pytest.raises(Damaged, match=f"the policy {digest} {what}"):
            policy_of(digest, changed)
