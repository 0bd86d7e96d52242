"""What authors of plugins import from the hub; nothing else of it is public.

Names resolve on first use, so that the agent can import `hub.protocol` with no more than the
base install.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.account_data import (
        AccountData,
        AccountKeeper,
        AccountRows,
        Counts,
        Erased,
        Exported,
        OfAccount,
        account_endpoints,
        difference,
        export_nothing,
        export_rows,
    )
    from hub.audit.deeds import HUB, Actor, Deed
    from hub.audit.log import Audit
    from hub.audit.shown import PASSING, SHOWN_ONCE
    from hub.batches import Batch, Chunk, Line, MetricBatch, MetricChunk, Sample
    from hub.bulk import IfMatch, ItemProblem, Outcome, versions_of
    from hub.certificate import ServerCertificate
    from hub.columns import Column, id_columns, join_rows, json_column, source_column
    from hub.compression import gzipped
    from hub.connection_limit import ConnectionLimit
    from hub.contracts import (
        Bus,
        Consumer,
        Contract,
        Endpoint,
        EventInfo,
        Nothing,
        StreamEndpoint,
        Topic,
    )
    from hub.data_meter import NOTE_DATA, DataMeter, DataNoted, DeviceData
    from hub.database import Connection, Database, Queries
    from hub.datagrams import DatagramSender
    from hub.destinations import (
        Destination,
        DestinationType,
        Dialer,
        Limits,
        MetricDestination,
        StreamDestination,
        TellingStream,
        Tools,
        Window,
    )
    from hub.discard import Discard
    from hub.downlink import DeviceReply, DeviceReport, Downlink
    from hub.errors import (
        Conflict,
        FieldError,
        Forbidden,
        Invalid,
        IsaaxError,
        LimitReached,
        NotAvailable,
        NotFound,
        PreconditionFailed,
        StartError,
        Unauthenticated,
        Unavailable,
    )
    from hub.gateway.forgery import csrf_token
    from hub.gateway.quotas import network_of
    from hub.headers import check_headers
    from hub.hookspecs import hookimpl
    from hub.leader import stand
    from hub.leftovers import Leftovers
    from hub.mail.local import local_outbox
    from hub.mail.postbox import MAIL_REQUESTED, Mail, MailRequested, Postbox
    from hub.mail.templates import MailTemplates
    from hub.mail.text import MailAddress, is_address, mailbox_of, one_line, printable
    from hub.messaging.events import Pace, in_rounds
    from hub.net import Datagrams, explain
    from hub.outbox import Outbox, all_first_time, first_time
    from hub.outcomes import NotConnected, Partial, Rejected, Retry
    from hub.paging import Page, cursor_after, cursor_of, position_of
    from hub.permissions import (
        ADMINS,
        DEVELOPERS,
        EVERYONE,
        OWNERS,
        PAYERS,
        SIGNED_IN,
        VIEWERS,
        Permission,
        Permissions,
        Role,
    )
    from hub.pieces import Piece, PieceLimits, push_each, push_lanes, push_pieces
    from hub.presence import Presence
    from hub.protocol import Lines
    from hub.push import Answer, HttpTarget, HttpUrl, comes_again, post
    from hub.pushing import Due, Pusher, Reports
    from hub.relay.contracts import LATEST_METRICS, LatestMetrics, LatestSamples
    from hub.relay.hearing import HeardLines, LineFeed, LinePlace
    from hub.relay.ingest import Ingest
    from hub.relay.samples import MetricFeed, MetricPlace, TakenSamples
    from hub.routes import (
        Authenticator,
        Call,
        Caller,
        Client,
        Cookie,
        Cursor,
        Deprecated,
        Download,
        EventStream,
        NoQuery,
        PageQuery,
        Reply,
        Route,
        ServerEvent,
        merge_patch,
    )
    from hub.secret import Secret
    from hub.services import Command, ConfigSection, Migrations, Resting, Service
    from hub.shaping.alerts import AlertRule, Finding, Watch
    from hub.shaping.check import check_shape
    from hub.shaping.rules import SEVERITIES, Severity, Shape
    from hub.sigv4 import SKEWED, THROTTLED, SigV4, check_keys
    from hub.smtp import Security, SmtpAnswer, SmtpClient, SmtpFailed, refusals
    from hub.stream import Stream, SyslogStream, connector
    from hub.syslog import SyslogFormatter, SyslogStyle
    from hub.telemetry import Metrics
    from hub.times import rfc3339, rfc3339_column
    from hub.tls import client_tls
    from hub.vault import Opener, SealBroken, Vault
    from hub.wanted import Wanted, WantedBy, wanted_contract

_HOMES = {
    "audit.deeds": "HUB Actor Deed",
    "audit.log": "Audit",
    "audit.shown": "PASSING SHOWN_ONCE",
    "account_data": "AccountData AccountKeeper AccountRows Counts Erased Exported OfAccount "
    "account_endpoints difference export_nothing export_rows",
    "telemetry": "Metrics",
    "bulk": "IfMatch ItemProblem Outcome versions_of",
    "certificate": "ServerCertificate",
    "columns": "Column id_columns join_rows json_column source_column",
    "compression": "gzipped",
    "connection_limit": "ConnectionLimit",
    "contracts": "Bus Consumer Contract Endpoint EventInfo Nothing StreamEndpoint Topic",
    "data_meter": "NOTE_DATA DataMeter DataNoted DeviceData",
    "database": "Connection Database Queries",
    "datagrams": "DatagramSender",
    "batches": "Batch Chunk Line MetricBatch MetricChunk Sample",
    "destinations": "Destination DestinationType Dialer Limits MetricDestination "
    "StreamDestination TellingStream Tools Window",
    "outcomes": "NotConnected Partial Rejected Retry",
    "discard": "Discard",
    "downlink": "DeviceReply DeviceReport Downlink",
    "errors": "Conflict FieldError Forbidden Invalid IsaaxError LimitReached NotAvailable NotFound "
    "PreconditionFailed StartError Unauthenticated Unavailable",
    "gateway.forgery": "csrf_token",
    "gateway.quotas": "network_of",
    "headers": "check_headers",
    "hookspecs": "hookimpl",
    "mail.local": "local_outbox",
    "mail.postbox": "MAIL_REQUESTED Mail MailRequested Postbox",
    "mail.templates": "MailTemplates",
    "mail.text": "MailAddress is_address mailbox_of one_line printable",
    "messaging.events": "Pace in_rounds",
    "leader": "stand",
    "leftovers": "Leftovers",
    "net": "Datagrams explain",
    "outbox": "Outbox all_first_time first_time",
    "paging": "Page cursor_after cursor_of position_of",
    "permissions": "ADMINS DEVELOPERS EVERYONE OWNERS PAYERS SIGNED_IN VIEWERS Permission "
    "Permissions Role",
    "pieces": "Piece PieceLimits push_each push_lanes push_pieces",
    "push": "Answer HttpTarget HttpUrl comes_again post",
    "shaping.rules": "SEVERITIES Severity Shape",
    "times": "rfc3339 rfc3339_column",
    "protocol": "Lines",
    "relay.ingest": "Ingest",
    "relay.hearing": "HeardLines LineFeed LinePlace",
    "relay.samples": "MetricFeed MetricPlace TakenSamples",
    "relay.contracts": "LATEST_METRICS LatestMetrics LatestSamples",
    "routes": "Authenticator Call Caller Client Cookie Cursor Deprecated Download EventStream "
    "NoQuery "
    "PageQuery Reply Route ServerEvent merge_patch",
    "secret": "Secret",
    "services": "Command ConfigSection Migrations Resting Service",
    "sigv4": "SKEWED THROTTLED SigV4 check_keys",
    "shaping.alerts": "AlertRule Finding Watch",
    "shaping.check": "check_shape",
    "smtp": "Security SmtpAnswer SmtpClient SmtpFailed refusals",
    "stream": "Stream SyslogStream connector",
    "syslog": "SyslogFormatter SyslogStyle",
    "tls": "client_tls",
    "vault": "Opener SealBroken Vault",
    "presence": "Presence",
    "pushing": "Due Pusher Reports",
    "wanted": "Wanted WantedBy wanted_contract",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "ADMINS",
    "DEVELOPERS",
    "EVERYONE",
    "HUB",
    "LATEST_METRICS",
    "MAIL_REQUESTED",
    "NOTE_DATA",
    "OWNERS",
    "PASSING",
    "PAYERS",
    "SEVERITIES",
    "SHOWN_ONCE",
    "SIGNED_IN",
    "SKEWED",
    "THROTTLED",
    "VIEWERS",
    "AccountData",
    "AccountKeeper",
    "AccountRows",
    "Actor",
    "AlertRule",
    "Answer",
    "Audit",
    "Authenticator",
    "Batch",
    "Bus",
    "Call",
    "Caller",
    "Chunk",
    "Client",
    "Column",
    "Command",
    "ConfigSection",
    "Conflict",
    "Connection",
    "ConnectionLimit",
    "Consumer",
    "Contract",
    "Cookie",
    "Counts",
    "Cursor",
    "DataMeter",
    "DataNoted",
    "Database",
    "DatagramSender",
    "Datagrams",
    "Deed",
    "Deprecated",
    "Destination",
    "DestinationType",
    "DeviceData",
    "DeviceReply",
    "DeviceReport",
    "Dialer",
    "Discard",
    "Downlink",
    "Download",
    "Due",
    "Endpoint",
    "Erased",
    "EventInfo",
    "EventStream",
    "Exported",
    "FieldError",
    "Finding",
    "Forbidden",
    "HeardLines",
    "HttpTarget",
    "HttpUrl",
    "IfMatch",
    "Ingest",
    "Invalid",
    "IsaaxError",
    "ItemProblem",
    "LatestMetrics",
    "LatestSamples",
    "Leftovers",
    "LimitReached",
    "Limits",
    "Line",
    "LineFeed",
    "LinePlace",
    "Lines",
    "Mail",
    "MailAddress",
    "MailRequested",
    "MailTemplates",
    "MetricBatch",
    "MetricChunk",
    "MetricDestination",
    "MetricFeed",
    "MetricPlace",
    "Metrics",
    "Migrations",
    "NoQuery",
    "NotAvailable",
    "NotConnected",
    "NotFound",
    "Nothing",
    "OfAccount",
    "Opener",
    "Outbox",
    "Outcome",
    "Pace",
    "Page",
    "PageQuery",
    "Partial",
    "Permission",
    "Permissions",
    "Piece",
    "PieceLimits",
    "Postbox",
    "PreconditionFailed",
    "Presence",
    "Pusher",
    "Queries",
    "Rejected",
    "Reply",
    "Reports",
    "Resting",
    "Retry",
    "Role",
    "Route",
    "Sample",
    "SealBroken",
    "Secret",
    "Security",
    "ServerCertificate",
    "ServerEvent",
    "Service",
    "Severity",
    "Shape",
    "SigV4",
    "SmtpAnswer",
    "SmtpClient",
    "SmtpFailed",
    "StartError",
    "Stream",
    "StreamDestination",
    "StreamEndpoint",
    "SyslogFormatter",
    "SyslogStream",
    "SyslogStyle",
    "TakenSamples",
    "TellingStream",
    "Tools",
    "Topic",
    "Unauthenticated",
    "Unavailable",
    "Vault",
    "Wanted",
    "WantedBy",
    "Watch",
    "Window",
    "account_endpoints",
    "all_first_time",
    "check_headers",
    "check_keys",
    "check_shape",
    "client_tls",
    "comes_again",
    "connector",
    "csrf_token",
    "cursor_after",
    "cursor_of",
    "difference",
    "explain",
    "export_nothing",
    "export_rows",
    "first_time",
    "gzipped",
    "hookimpl",
    "id_columns",
    "in_rounds",
    "is_address",
    "join_rows",
    "json_column",
    "local_outbox",
    "mailbox_of",
    "merge_patch",
    "network_of",
    "one_line",
    "position_of",
    "post",
    "printable",
    "push_each",
    "push_lanes",
    "push_pieces",
    "refusals",
    "rfc3339",
    "rfc3339_column",
    "source_column",
    "stand",
    "versions_of",
    "wanted_contract",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'hub' has no public name {name!r}")
    return getattr(importlib.import_module(f"hub.{_HOME_OF[name]}"), name)
