"""Truth files, good and bad."""

import pytest

from tapwatch.evaluation.truth import Episode, TruthError, read_truth

HEAD = "episode,kind,start_ns,end_ns,src,dst,dst_port,proto,note\n"
GOOD = "1,syn-scan,1000,2000,10.0.0.66,10.0.0.2,*,tcp,nmap\n"


def truth(tmp_path, text):
    """A truth file with that text."""
    path = tmp_path / "truth.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_reads_every_field(tmp_path):
    """`*` is nothing, addresses have one spelling, a note may hold commas."""
    rows = GOOD + '2,arp,0,9,*,2001:DB8:0::1,443,*,"a, b"\n\n3,x,5,5,AA:BB:CC:00:11:22,*,0,UDP,\n'

    one, two, three = read_truth(truth(tmp_path, HEAD + rows))

    assert one == Episode("1", "syn-scan", 1000, 2000, "10.0.0.66", "10.0.0.2", None, "tcp", "nmap")
    assert (two.src, two.dst, two.dst_port, two.proto, two.note) == (
        None, "2001:db8::1", 443, None, "a, b",
    )  # fmt: skip
    assert (three.src, three.dst_port, three.proto) == ("aa:bb:cc:00:11:22", 0, "udp")
    assert (two.addresses, one.addresses) == ({"2001:db8::1"}, {"10.0.0.66", "10.0.0.2"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1000", "now", r":2: start_ns = 'now': want nanoseconds since 1970"),
        ("1000", "-5", r":2: start_ns = '-5': want nanoseconds"),
        ("1000", "1e3", r":2: start_ns = '1e3': want nanoseconds"),
        ("1000", "9223372036854775808", r":2: start_ns = '9223372036854775808': want nanoseconds"),
        ("1000", "9" * 5000, r":2: start_ns = '9+': want nanoseconds"),
        ("2000", "999", r":2: end_ns = 999: want at least start_ns, which is 1000"),
        ("10.0.0.66", "visitor", r":2: src = 'visitor': want an IPv4, IPv6 or MAC address, or \*"),
        ("10.0.0.2", "", r":2: dst = '': want an IPv4"),
        ("*", "65536", r":2: dst_port = '65536': want a port from 0 to 65535, or \*"),
        ("1,syn", ",syn", r":2: episode = '': want a name"),
        ("syn-scan", " ", r":2: kind = ' ': want a name"),
        (",nmap", "", r":2: 8 fields: want 9"),
        ("nmap", "nmap,x", r":2: 10 fields: want 9"),
        ("nmap\n", "nmap\n" + GOOD, r":3: episode = '1': want a name of its own \(line 2 has it\)"),
        ("nmap", '"nmap', r"cannot be read: unexpected end of data"),
    ],
)
def test_refuses_what_it_cannot_understand(tmp_path, old, new, message):
    """File, line, field, what was found and what is wanted; exit code 3."""
    assert old in GOOD

    with pytest.raises(TruthError, match=message) as caught:
        read_truth(truth(tmp_path, HEAD + GOOD.replace(old, new, 1)))

    assert str(caught.value).startswith(str(tmp_path / "truth.csv"))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r":1: header is '': want 'episode,kind"),
        (GOOD, r":1: header is '1,syn-scan"),
        (HEAD, r"want at least one episode"),
        (b"\xff\xfe\x00", r"cannot be read"),
    ],
)
def test_refuses_a_file_that_is_no_truth(tmp_path, text, message):
    """Another CSV, an empty one, or bytes."""
    with pytest.raises(TruthError, match=message):
        read_truth(truth(tmp_path, text))


def test_refuses_a_file_that_is_not_there(tmp_path):
    """The message names it."""
    with pytest.raises(TruthError, match=r"none.csv: cannot be read"):
        read_truth(tmp_path / "none.csv")
