"""A process whose loop no longer turns ends by itself; one that turns, or is merely slow, does not."""

import subprocess
import sys
import textwrap

from shared.machine.watchdog import EXIT_CODE


def run(body):
    words = [sys.executable, "-c", f"import time\nfrom shared.machine.watchdog import Watchdog\n{textwrap.dedent(body)}"]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)


def test_a_silent_loop_ends_the_process_and_says_where_it_hung():
    done = run("""
        dog = Watchdog(0.5)
        dog.start()
        def hangs():
            time.sleep(20)
        hangs()
    """)
    assert done.returncode == EXIT_CODE
    assert "silent" in done.stderr
    assert "hangs" in done.stderr


def test_a_loop_that_turns_goes_on():
    done = run("""
        dog = Watchdog(0.5)
        dog.start()
        for _ in range(15):
            dog.alive()
            time.sleep(0.2)
        dog.stop()
        print("done")
    """)
    assert (done.returncode, done.stdout) == (0, "done\n")
