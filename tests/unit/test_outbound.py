"""Calls go out to public addresses by https, to the very address that was checked, and never without end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address

import httpx
import pytest

from hub import outbound
from hub.outbound import Allowed, CheckedTransport, InvalidAllowError, NoAnswerError, RefusedAddressError

PUBLIC = "93.184.215.14"
INSIDE = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "192.88.99.1",
    "203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::1", "::", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:53aa:64c::1",
    "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "3fff::1",
]  # fmt: skip


class Carrier:
    """Stands for the network: keeps what it was asked, answers as told."""

    def __init__(self, answer: httpx.Response | Exception | None = None, refusing: Sequence[str] = ()) -> None:
        self.asked: list[httpx.Request] = []
        self._answer = answer or httpx.Response(200, text="well")
        self._refusing = refusing

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.host in self._refusing:
            raise httpx.ConnectError("refused")
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def client(
    carrier: Carrier, *addresses: str, allowed: Sequence[str] = (), turns: list[Sequence[str]] | None = None
) -> httpx.AsyncClient:
    answers = iter(turns or [])

    async def resolve(host: str, port: int) -> Sequence[str]:
        return next(answers) if turns else addresses

    transport = CheckedTransport(Allowed.parse(allowed), resolve=resolve, carrier=httpx.MockTransport(carrier))
    return outbound.client(transport)


@pytest.mark.parametrize("address", INSIDE)
async def test_what_lies_inside_is_not_called(address: str) -> None:
    carrier = Carrier()
    with pytest.raises(RefusedAddressError, match=r"hooks\.example leads to an address that Plantroom does not call"):
        await client(carrier, address).get("https://hooks.example/x")
    assert carrier.asked == []


async def test_one_address_inside_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(RefusedAddressError):
        await client(Carrier(), PUBLIC, "127.0.0.1").get("https://hooks.example")


async def test_a_refusal_does_not_say_where_a_name_leads() -> None:
    with pytest.raises(RefusedAddressError) as caught:
        await client(Carrier(), "10.20.30.40").get("https://hooks.example")
    assert "10.20" not in str(caught.value)


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
async def test_the_call_goes_to_the_address_that_was_checked_under_the_name_that_was_meant(address: str) -> None:
    carrier = Carrier()
    answer = await client(carrier, turns=[[address], ["127.0.0.1"]]).get("https://Hooks.example:8443/x?y=1")
    assert answer.text == "well"
    (asked,) = carrier.asked
    assert ip_address(asked.url.host) == ip_address(address)
    assert (asked.url.port, asked.url.raw_path) == (8443, b"/x?y=1")
    assert asked.headers["host"] == "hooks.example:8443"
    assert asked.extensions["sni_hostname"] == "hooks.example"
    assert asked.headers["accept-encoding"] == "identity"


async def test_the_next_address_is_tried_when_one_does_not_connect() -> None:
    carrier = Carrier(refusing=[PUBLIC])
    answer = await client(carrier, PUBLIC, "93.184.215.15").get("https://hooks.example")
    assert (answer.status_code, len(carrier.asked)) == (200, 2)


async def test_a_call_that_was_refused_is_witnessed_in_the_security_log(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RefusedAddressError):
        await client(Carrier(), "10.1.2.3").get("https://witnessed.example/x?token=abc")
    (line,) = (record.getMessage() for record in caplog.records if record.name == "plantroom.security")
    assert line == 'refused: a call to a place inside to="witnessed.example" leads_to="10.1.2.3"'


@pytest.mark.parametrize("address", ["http://hooks.example/", "http://hooks.example:443/"])
async def test_only_https_unless_it_is_allowed(address: str) -> None:
    with pytest.raises(RefusedAddressError, match="https only"):
        await client(Carrier(), PUBLIC).get(address)
    assert (await client(Carrier(), PUBLIC, allowed=["hooks.example"]).get(address)).status_code == 200


@pytest.mark.parametrize("written", [
    "https://user:secret@hooks.example/", "ftp://hooks.example/", "https:///x", "hooks.example", "", "https://[::1/",
    "https://a b/", "https://x\ny/", "file:///etc/passwd", "https://0177.0.0.1/", "https://\x00/",
])  # fmt: skip
async def test_other_forms_of_address_are_refused(written: str) -> None:
    with pytest.raises(RefusedAddressError, match="correct the address"):
        outbound.address(written)


async def test_a_password_in_an_address_is_refused_on_the_way_too() -> None:
    with pytest.raises(RefusedAddressError):
        await client(Carrier(), PUBLIC).get("https://user:secret@hooks.example/")


@pytest.mark.parametrize("allowed", ["127.0.0.0/8", "127.0.0.1", "hooks.example", "HOOKS.example."])
async def test_what_is_on_the_list_is_called(allowed: str) -> None:
    answer = await client(Carrier(), "127.0.0.1", allowed=[allowed]).get("https://hooks.example")
    assert answer.status_code == 200


async def test_the_list_opens_nothing_beside_what_it_names() -> None:
    for allowed in ("10.0.0.0/8", "other.example", "ooks.example"):
        with pytest.raises(RefusedAddressError):
            await client(Carrier(), "127.0.0.1", allowed=[allowed]).get("https://hooks.example")


@pytest.mark.parametrize("entry", ["", "10.0.0.0/33", "10.0.0.256", "10.0.0.1/8", "https://x", "a b", "*", "x/y"])
def test_a_wrong_entry_of_the_list_is_one_sentence(entry: str) -> None:
    with pytest.raises(InvalidAllowError, match="is not a host name, an address or a network"):
        Allowed.parse([entry])


async def test_a_redirect_is_not_followed() -> None:
    carrier = Carrier(httpx.Response(302, headers={"Location": "http://127.0.0.1/"}))
    answer = await client(carrier, PUBLIC).get("https://hooks.example")
    assert (answer.status_code, len(carrier.asked)) == (302, 1)


async def test_a_redirect_that_somebody_follows_is_checked_again() -> None:
    carrier = Carrier(httpx.Response(302, headers={"Location": "https://elsewhere.example/"}))
    with pytest.raises(RefusedAddressError, match=r"elsewhere\.example"):
        await client(carrier, turns=[[PUBLIC], ["127.0.0.1"]]).get("https://hooks.example", follow_redirects=True)


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert (await client(Carrier(), PUBLIC).get("https://hooks.example")).status_code == 200


class Endless(httpx.AsyncByteStream):
    def __init__(self, pause_s: float = 0) -> None:
        self._pause_s = pause_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(self._pause_s)
            yield b"x" * 65_536


async def test_an_answer_without_end_is_cut_off() -> None:
    carrier = Carrier(httpx.Response(200, stream=Endless()))
    with pytest.raises(NoAnswerError, match="more than 2,000,000 bytes"):
        await client(carrier, PUBLIC).get("https://hooks.example")


async def test_an_answer_that_takes_its_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TOTAL_S", 0.05)
    carrier = Carrier(httpx.Response(200, stream=Endless(pause_s=1)))
    with pytest.raises(NoAnswerError, match="too slow"):
        await client(carrier, PUBLIC).get("https://hooks.example")


async def test_a_packed_answer_is_refused_because_it_may_grow() -> None:
    carrier = Carrier(httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Endless()))
    with pytest.raises(NoAnswerError, match="form that was not asked for"):
        await client(carrier, PUBLIC).get("https://hooks.example")


@pytest.mark.parametrize("failure", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")])
async def test_whoever_does_not_answer_is_one_sentence(failure: Exception) -> None:
    with pytest.raises(NoAnswerError, match=r"hooks\.example does not answer"):
        await client(Carrier(failure), PUBLIC).get("https://hooks.example")


async def test_a_name_that_leads_nowhere_is_one_sentence() -> None:
    with pytest.raises(NoAnswerError, match=r"hooks\.example does not answer"):
        await client(Carrier()).get("https://hooks.example")
