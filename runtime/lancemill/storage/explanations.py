"""What a store's error means to the person who reads it: one line of cause, one of remedy.

obstore and Lance tell errors as text of the Rust library below them (the HTTP status and the
store's XML among it), and do not keep to exception types: a listing refused with 403 is a
GenericError. So the text is what is looked at.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass

from lancemill.errors import StorageError
from lancemill.storage.uris import BUCKET_SCHEMES, display


@dataclass(frozen=True, slots=True)
class _Meaning:
    """A pattern of the error's text, and what it says about `{uri}` in `{bucket}`."""

    pattern: str
    cause: str
    remedy: str
    problem: str = "Other"
    """As StorageError.problem."""


_CREDENTIALS = (
    "set them by storage.secretRef or in the environment (AWS_ACCESS_KEY_ID, …), "
    "or storage.anonymous: true for a public bucket"
)

_MEANINGS = (
    _Meaning(
        r"169\.254\.169\.254|metadata\.google\.internal|ECS metadata|no.credentials|"
        r"Failed to get AWS credentials|CredentialsNotLoaded|Missing credential|"
        r"could not find.*credential|NoCredentials",
        "there are no credentials",
        _CREDENTIALS,
        "AccessDenied",
    ),
    _Meaning(
        r"InvalidAccessKeyId",
        "the store does not know this access key (InvalidAccessKeyId)",
        "check which credentials are used, and that storage.endpoint is theirs",
        "AccessDenied",
    ),
    _Meaning(
        r"SignatureDoesNotMatch",
        "the secret key is wrong (SignatureDoesNotMatch)",
        "check aws_secret_access_key (a stray newline or quote?) and the region",
        "AccessDenied",
    ),
    _Meaning(
        r"ExpiredToken|TokenRefreshRequired|RequestTimeTooSkewed",
        "the credentials have expired, or this machine's clock is wrong",
        "renew the session token; check the clock",
        "AccessDenied",
    ),
    _Meaning(
        r"InvalidToken",
        "the session token is wrong (InvalidToken)",
        "check aws_session_token",
        "AccessDenied",
    ),
    _Meaning(
        r"NoSuchBucket|ContainerNotFound|The specified bucket does not exist",
        "{bucket} does not exist",
        "check its name, storage.endpoint and storage.region; create it if it is yours to create",
        "BucketMissing",
    ),
    _Meaning(
        r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|"
        r"status code: 30[127]|BareRedirect|redirect without LOCATION",
        "{bucket} lies in another region",
        "set storage.region to the bucket's own",
    ),
    _Meaning(
        r"SlowDown|TooManyRequests|status code: (503|429)|ServerBusy|Please reduce your request",
        "the store throttles or is overloaded, and still was after the last retry",
        "run again later: what is finished is kept; or lower the concurrency",
    ),
    _Meaning(
        r"NotImplemented|status code: 501|NotSupported|not supported by",
        "the store does not support this operation",
        "a store without conditional writes cannot hold a ledger or a Lance dataset",
        "StorageUnsupported",
    ),
    _Meaning(
        r"AccessDenied|AllAccessDisabled|status code: 40[13]|lacked the necessary privileges|"
        r"lacked valid authentication|Unauthorized|Forbidden",
        "access denied",
        "check that these credentials may read, list and write here; " + _CREDENTIALS,
        "AccessDenied",
    ),
    _Meaning(
        r"builder error|URL scheme is not allowed",
        "plain http is not allowed",
        "set storage.allowHttp: true, or use an https endpoint",
    ),
    _Meaning(
        r"certificate|UnknownIssuer|SSL|tls handshake|HandshakeFailure|InvalidContentType",
        "no secure connection: the certificate is not trusted, or the server speaks plain http",
        "check that storage.endpoint says http or https as the server does; install its authority",
    ),
    _Meaning(
        r"dns error|failed to lookup|Name or service not known|nodename nor servname",
        "the host's name is not known",
        "check the uri, storage.endpoint and the network",
    ),
    _Meaning(
        r"kind: Timeout|operation timed out|timed out|TimedOut|deadline has elapsed",
        "no answer in time",
        "check the network and storage.endpoint; run again: what is finished is kept",
    ),
    _Meaning(
        r"Connection refused|kind: Connect\b|tcp connect error|ConnectionRefused",
        "the connection is refused: nothing listens there",
        "check host and port of the uri or of storage.endpoint",
    ),
    _Meaning(
        r"[Cc]onnection reset|connection closed|IncompleteMessage|response body|"
        r"[Bb]roken pipe|unexpected EOF|IncompleteRead",
        "the connection broke, again and again",
        "check the network; run again: what is finished is kept",
    ),
    _Meaning(
        # All that Lance tells of a connection that failed.
        r"error sending request",
        "no connection: it is refused, or breaks each time",
        "check host and port of the uri or of storage.endpoint, and the network",
    ),
    _Meaning(
        r"status code: 5\d\d|InternalError|ServiceUnavailable",
        "the server failed, and still did after the last retry",
        "run again later: what is finished is kept",
    ),
    _Meaning(
        r"No space left|os error 28|Disk quota|os error 122|QuotaExceeded",
        "there is no space left",
        "free some, or choose another place; then run again with the same run id",
    ),
    _Meaning(r"Read-only file system|os error 30", "it is read-only", "choose another place"),
    _Meaning(
        r"Permission denied|os error 13\b|Operation not permitted",
        "this user may not read or write it",
        "check its owner and mode",
        "AccessDenied",
    ),
    _Meaning(
        r"contained empty path segment|illegal character sequence|BadSegment|InvalidPath",
        "it holds an object whose name cannot be addressed ({detail})",
        "rename that object: no empty, '.' or '..' part, no control characters",
    ),
    _Meaning(
        r"already exists|AlreadyExists|PreconditionFailed|status code: 412",
        "it exists already",
        "choose another place, or another mode",
    ),
    _Meaning(r"Not a directory|os error 20", "it is no folder", "check the uri"),
    _Meaning(
        r"NoSuchKey|BlobNotFound|status code: 404|not found|No such file|os error 2\b|not exist",
        "it does not exist",
        "check the uri",
    ),
)

_ERRNO_TEXT = {
    errno.ENOENT: "No such file",
    errno.EACCES: "Permission denied",
    errno.EPERM: "Permission denied",
    errno.ENOSPC: "No space left",
    errno.EDQUOT: "Disk quota",
    errno.EROFS: "Read-only file system",
    errno.ENOTDIR: "Not a directory",
    errno.ECONNREFUSED: "Connection refused",
    errno.ECONNRESET: "Connection reset",
    errno.ETIMEDOUT: "timed out",
}


def explain(error: BaseException | str, uri: str) -> StorageError:
    """The StorageError that tells what `error`, met at `uri`, means and what to do about it."""
    if isinstance(error, StorageError):
        return error
    text = _text(error)
    place = display(uri)
    evidence = _without_names(text)
    for meaning in _MEANINGS:
        if re.search(meaning.pattern, evidence):
            fill = _filler(uri, text)
            told = StorageError(f"{place}: {fill(meaning.cause)}", remedy=fill(meaning.remedy))
            told.problem = meaning.problem
            return told
    return StorageError(f"{place}: {_first_line(text)}")


def _text(error: BaseException | str) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return f"{_ERRNO_TEXT.get(error.errno, '')} {error.strerror}".strip()
    return str(error) or type(error).__name__


def _without_names(text: str) -> str:
    """`text` without keys and paths: an object named `SSL/404.jpg` says nothing about the cause."""
    text = re.sub(r"(https?://[^/\s,\"]*)[^\s,\"]*", r"\1", text)
    text = re.sub(
        r"(at location|for path|Path:?) .*?(?= not found| already exists|: )", r"\1", text
    )
    text = re.sub(r"<(Key|Resource|BucketName|HostId|RequestId)>.*?</\1>", "", text)
    return re.sub(r"path: \"[^\"]*\"", "", text)


def _filler(uri: str, text: str) -> Callable[[str], str]:
    scheme, mark, rest = uri.partition("://")
    in_bucket = mark and scheme in BUCKET_SCHEMES
    bucket = f"the bucket '{rest.split('/')[0]}'" if in_bucket else "it"
    detail = _first_line(text)
    return lambda template: template.replace("{bucket}", bucket).replace("{detail}", detail)


def _first_line(text: str) -> str:
    """The first line, without the store's XML and what obstore adds for debugging."""
    line = text.split("\n\nDebug source:")[0].strip().splitlines()
    told = line[0] if line else text
    told = re.sub(r"\s*<\?xml.*|\s*<Error>.*", "", told)
    return told if len(told) <= 300 else told[:297] + "…"
