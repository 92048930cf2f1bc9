"""What a StatusCode means: words for the engineer, quality for the reading, reaction for the driver.

Severity stands in the two top bits, the code in the upper half (OPC 10000-4, 7.39); names and words are those of the
standard's own table.
"""

from asyncua.ua.status_codes import StatusCodes, get_name_and_doc

from drivers.errors import DriverError, MisconfiguredError, RefusedError, UnreachableError
from rules.model.quality import Quality

_CODE = 0xFFFF0000  # without the information bits of one value
_BAD = 0x80000000
_SEVERITY = 0xC0000000
_OVERFLOW = 0x0480  # InfoType DataValue and its overflow bit: the server's queue lost values

TOO_MUCH = frozenset({
    StatusCodes.BadTooManyOperations, StatusCodes.BadResponseTooLarge, StatusCodes.BadRequestTooLarge,
    StatusCodes.BadEncodingLimitsExceeded, StatusCodes.BadTcpMessageTooLarge, StatusCodes.BadTooManyMonitoredItems,
})  # fmt: skip
GONE = frozenset({
    StatusCodes.BadSessionIdInvalid, StatusCodes.BadSessionClosed, StatusCodes.BadSessionNotActivated,
    StatusCodes.BadSecureChannelIdInvalid, StatusCodes.BadSecureChannelClosed, StatusCodes.BadSecureChannelTokenUnknown,
    StatusCodes.BadTcpSecureChannelUnknown, StatusCodes.BadConnectionClosed, StatusCodes.BadSequenceNumberInvalid,
})  # fmt: skip
_AWAY = frozenset({
    StatusCodes.BadTimeout, StatusCodes.BadServerHalted, StatusCodes.BadShutdown, StatusCodes.BadServerNotConnected,
    StatusCodes.BadCommunicationError, StatusCodes.BadTooManySessions, StatusCodes.BadResourceUnavailable,
    StatusCodes.BadOutOfMemory, StatusCodes.BadTcpServerTooBusy, StatusCodes.BadTcpNotEnoughResources,
    StatusCodes.BadNotConnected, StatusCodes.BadRequestTimeout, StatusCodes.BadMaxConnectionsReached,
    StatusCodes.BadInvalidState, StatusCodes.BadOperationAbandoned, StatusCodes.BadTcpInternalError,
})  # fmt: skip
_NOT_LET_IN = frozenset({
    StatusCodes.BadIdentityTokenInvalid, StatusCodes.BadIdentityTokenRejected, StatusCodes.BadUserAccessDenied,
    StatusCodes.BadUserSignatureInvalid, StatusCodes.BadSecurityChecksFailed, StatusCodes.BadSecurityPolicyRejected,
    StatusCodes.BadSecurityModeRejected, StatusCodes.BadCertificateInvalid, StatusCodes.BadCertificateUntrusted,
    StatusCodes.BadCertificateTimeInvalid, StatusCodes.BadCertificateUriInvalid,
    StatusCodes.BadCertificateHostNameInvalid, StatusCodes.BadCertificateUseNotAllowed,
    StatusCodes.BadCertificateRevoked, StatusCodes.BadCertificateChainIncomplete,
    StatusCodes.BadCertificatePolicyCheckFailed, StatusCodes.BadCertificateRevocationUnknown,
    StatusCodes.BadApplicationSignatureInvalid, StatusCodes.BadTcpEndpointUrlInvalid, StatusCodes.BadServerUriInvalid,
})  # fmt: skip


class SaidNoError(Exception):
    """The server's own no to a whole question; never leaves drivers/opcua."""

    def __init__(self, code: int) -> None:
        super().__init__(words(code))
        self.code = code & _CODE


def words(code: int) -> str:
    """Give the name and the meaning of a code ('BadNotReadable: The access level does not allow reading ...')."""
    name, meaning = get_name_and_doc(code & _CODE)
    if meaning.startswith("Unknown"):
        return f"{name}, code 0x{code:08X}"
    return f"{name}: {meaning.strip().rstrip('.')}"


def quality(code: int) -> Quality:
    """Give the quality that a value with this code has; what was put in by hand is uncertain, as it is elsewhere."""
    severity = code & _SEVERITY
    if severity == 0:
        return Quality.UNCERTAIN if code & _CODE == StatusCodes.GoodLocalOverride else Quality.GOOD
    return Quality.BAD if severity & _BAD else Quality.UNCERTAIN


def overflowed(code: int) -> bool:
    """Whether the server says that values before this one were lost in its queue."""
    return code & _OVERFLOW == _OVERFLOW


def reaction(place: str, code: int) -> DriverError:
    """Give the error for a server's no to a whole question."""
    if code in _AWAY or code in GONE:
        return UnreachableError(f"{place} says {words(code)}", link=True)
    if code in _NOT_LET_IN:
        return MisconfiguredError(f"{place} does not let us in: {words(code)}; check certificates, user and password")
    return RefusedError(f"{place} says {words(code)}")
