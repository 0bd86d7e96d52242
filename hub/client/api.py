"""Every operation of the API, as a method.

Written by `python -m hub.client.generator` from the OpenAPI document: do not edit.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal

from hub.client.answers import Answer, Pages
from hub.client.asking import Ask, Json, part
from hub.client.calls import Calls
from hub.client.events import Events
from hub.client.structs import (
    AcceptedView,
    AccountBody,
    AccountView,
    AlertRuleBody,
    AlertRuleView,
    AlertView,
    ApiTokenBody,
    ApiTokenView,
    ApprovedDevice,
    AskResetBody,
    AuditEntry,
    AuditExport,
    AuditExportBody,
    ChangedDevice,
    CodeBody,
    CodesView,
    CommandBody,
    CommandResultView,
    CommandView,
    DataUsageView,
    DeadLetter,
    DeadLetterView,
    DeletionBody,
    DeletionView,
    DepartureView,
    DeviceApprovals,
    DeviceChanges,
    DeviceCommandBody,
    DeviceCommandView,
    DeviceDataCount,
    DeviceEnvarsView,
    DeviceView,
    Dropped,
    DryRunBody,
    EmailBody,
    EntryBody,
    EntryOptionsBody,
    EnvarBody,
    EnvarsBody,
    EnvarStatusView,
    EnvarsView,
    EnvarView,
    ExportView,
    FactorBody,
    FactorsView,
    GroupBody,
    GroupView,
    IntegrationBody,
    IntegrationChange,
    IntegrationType,
    IntegrationView,
    InvitationBody,
    InvitationView,
    InvitedView,
    JoinedView,
    LimitsView,
    LoginBody,
    LogLine,
    MemberBody,
    MemberView,
    MetricView,
    NewPasskeyBody,
    NewPasskeyView,
    NewSessionView,
    NewTotpView,
    OfferedView,
    OptionsView,
    PasskeyView,
    PasswordBody,
    PreviewBody,
    ProjectBody,
    ProjectHealth,
    ProjectMemberView,
    ProjectTokenBody,
    ProjectTokenView,
    ProjectView,
    ProofBody,
    RedeemBody,
    RelayHealth,
    ReplayBody,
    ReplayView,
    ResetBody,
    RestoreBody,
    ScriptBody,
    ScriptResultView,
    ScriptStatusView,
    ScriptsView,
    ScriptView,
    SecondFactorView,
    SeriesView,
    SessionView,
    ShapedLine,
    SignUpBody,
    StayBody,
    TailLine,
    TestBody,
    TestConfigBody,
    TestResult,
    TokenBody,
    TransferBody,
    TransferLinkBody,
    TransferView,
    UndoBody,
    UndoneView,
    UserView,
)


class Api:
    """The API of one hub.

    What is changed by a merge patch (RFC 7396) is given as JSON values. `if_match` is the `etag` of
    an answer: the change is made only if nobody else made one since; with `if_absent` only where
    there is nothing yet. A list fetches its pages as it is iterated over, a file its pieces.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list_accounts(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[AccountView]:
        """List the accounts that one is in.

        A token is for one account, and sees that one.
        """
        return self._calls.pages(
            Ask("GET", "/api/v1/accounts", query={"limit": limit, "cursor": cursor}), AccountView
        )

    def create_account(self, body: AccountBody | Json) -> Answer[AccountView]:
        """Make another account.

        You are its owner.
        """
        return self._calls.answer(
            Ask("POST", "/api/v1/accounts", body=body, keyed=True), AccountView
        )

    def get_account(self, account: str) -> Answer[AccountView]:
        """Read an account."""
        return self._calls.answer(Ask("GET", f"/api/v1/accounts/{part(account)}"), AccountView)

    def patch_account(
        self, account: str, changes: Json, *, if_match: str | None = None
    ) -> Answer[AccountView]:
        """Change an account.

        Whether members need a second factor an owner decides who has one and is logged in.
        Those without one are told by mail, and answered 403 `second-factor-required` until
        they add one.
        """
        return self._calls.answer(
            Ask(
                "PATCH",
                f"/api/v1/accounts/{part(account)}",
                body=changes,
                merge=True,
                if_match=if_match,
            ),
            AccountView,
        )

    def withdraw_offer(self, account: str, *, if_match: str | None = None) -> Answer[None]:
        """Take an offer back, or decline it."""
        return self._calls.nothing(
            Ask("DELETE", f"/api/v1/accounts/{part(account)}/transfer", if_match=if_match)
        )

    def get_offer(self, account: str) -> Answer[TransferView]:
        """Read the offer that waits."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/accounts/{part(account)}/transfer"), TransferView
        )

    def offer_account(self, account: str, body: TransferBody | Json) -> Answer[TransferView]:
        """Offer an account to another member.

        Nothing changes until the other says yes, for which there is a week and a link in
        their mail: then they are owner and you are what you said, at once. All owners are
        told by mail, now and then. Another offer replaces the one that waits.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/accounts/{part(account)}/transfer", body=body, keyed=True),
            TransferView,
        )

    def accept_account(self, account: str) -> Answer[OfferedView]:
        """Accept an offered account."""
        return self._calls.answer(
            Ask("POST", f"/api/v1/accounts/{part(account)}/transfer/accept", keyed=True),
            OfferedView,
        )

    def redeem_transfer(self, body: TransferLinkBody | Json) -> Answer[OfferedView]:
        """Accept an offered account by its link."""
        return self._calls.answer(Ask("POST", "/api/v1/transfers/redeem", body=body), OfferedView)

    def delete_alert_rule(self, rule: str, *, if_match: str | None = None) -> Answer[None]:
        """Delete an alert rule."""
        return self._calls.nothing(
            Ask("DELETE", f"/api/v1/alert-rules/{part(rule)}", if_match=if_match)
        )

    def get_alert_rule(self, rule: str) -> Answer[AlertRuleView]:
        """Read an alert rule."""
        return self._calls.answer(Ask("GET", f"/api/v1/alert-rules/{part(rule)}"), AlertRuleView)

    def patch_alert_rule(
        self, rule: str, changes: Json, *, if_match: str | None = None
    ) -> Answer[AlertRuleView]:
        """Change an alert rule."""
        return self._calls.answer(
            Ask(
                "PATCH",
                f"/api/v1/alert-rules/{part(rule)}",
                body=changes,
                merge=True,
                if_match=if_match,
            ),
            AlertRuleView,
        )

    def put_alert_rule(
        self, rule: str, body: AlertRuleBody | Json, *, if_match: str | None = None
    ) -> Answer[AlertRuleView]:
        """Replace an alert rule.

        It begins anew: what still is so is told again.
        """
        return self._calls.answer(
            Ask("PUT", f"/api/v1/alert-rules/{part(rule)}", body=body, if_match=if_match),
            AlertRuleView,
        )

    def list_alert_rules(
        self, project: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[AlertRuleView]:
        """List a project's alert rules."""
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/alert-rules",
                query={"limit": limit, "cursor": cursor},
            ),
            AlertRuleView,
        )

    def create_alert_rule(self, project: str, body: AlertRuleBody | Json) -> Answer[AlertRuleView]:
        """Have something told.

        What it tells is a line of the project's stream `agent`, of the program `alerts`,
        which goes wherever the project's lines go: once that it is so, and once that it is
        so no more. Each device by itself.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/projects/{part(project)}/alert-rules", body=body, keyed=True),
            AlertRuleView,
        )

    def list_alerts(
        self,
        project: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        rule: str | None = None,
        device: str | None = None,
        firing: bool | None = None,
    ) -> Pages[AlertView]:
        """Read what was told.

        Newest first, of the last 90 days.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/alerts",
                query={
                    "limit": limit,
                    "cursor": cursor,
                    "rule": rule,
                    "device": device,
                    "firing": firing,
                },
            ),
            AlertView,
        )

    def list_api_tokens(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[ApiTokenView]:
        """List API tokens.

        One's own in this account; to an owner or admin, everybody's.
        """
        return self._calls.pages(
            Ask("GET", "/api/v1/api-tokens", query={"limit": limit, "cursor": cursor}), ApiTokenView
        )

    def create_api_token(self, body: ApiTokenBody | Json) -> Answer[ApiTokenView]:
        """Make an API token.

        It acts for whoever makes it, in this account. The token itself is in this answer
        and never again.
        """
        return self._calls.answer(
            Ask("POST", "/api/v1/api-tokens", body=body, keyed=True), ApiTokenView
        )

    def revoke_api_token(self, api_token: str) -> Answer[None]:
        """Revoke an API token."""
        return self._calls.nothing(Ask("DELETE", f"/api/v1/api-tokens/{part(api_token)}"))

    def get_api_token(self, api_token: str) -> Answer[ApiTokenView]:
        """Read an API token."""
        return self._calls.answer(Ask("GET", f"/api/v1/api-tokens/{part(api_token)}"), ApiTokenView)

    def read_audit(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        object_: str | None = None,
        outcome: Literal["", "done", "failed", "refused", "unknown"] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        project: str | None = None,
    ) -> Pages[AuditEntry]:
        """Read the account's audit log.

        Newest first. Every change is in it that was asked for, with who asked, from where,
        and what was before and after; and so is what was refused.
        """
        return self._calls.pages(
            Ask(
                "GET",
                "/api/v1/audit",
                query={
                    "limit": limit,
                    "cursor": cursor,
                    "actor": actor,
                    "action": action,
                    "object": object_,
                    "outcome": outcome,
                    "since": since,
                    "until": until,
                    "project": project,
                },
            ),
            AuditEntry,
        )

    def get_audit_export(self) -> Answer[AuditExport]:
        """See where the audit log is sent."""
        return self._calls.answer(Ask("GET", "/api/v1/audit/export"), AuditExport)

    def put_audit_export(self, body: AuditExportBody | Json) -> Answer[AuditExport]:
        """Say where to send the audit log.

        With a project, each entry from now on is a line of the program `audit`, as JSON, in
        the project's stream `sys`; its integrations take it from there. It arrives once, in
        order, and counts towards the project's limits. With null, nothing is sent any more.
        """
        return self._calls.answer(Ask("PUT", "/api/v1/audit/export", body=body), AuditExport)

    def read_project_audit(
        self,
        project: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        object_: str | None = None,
        outcome: Literal["", "done", "failed", "refused", "unknown"] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Pages[AuditEntry]:
        """Read a project's audit log."""
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/audit",
                query={
                    "limit": limit,
                    "cursor": cursor,
                    "actor": actor,
                    "action": action,
                    "object": object_,
                    "outcome": outcome,
                    "since": since,
                    "until": until,
                },
            ),
            AuditEntry,
        )

    def list_device_commands(
        self,
        device: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        status: Literal[
            "cancelled",
            "done",
            "expired",
            "failed",
            "interrupted",
            "later",
            "lost",
            "refused",
            "running",
            "timeout",
            "waiting",
        ]
        | None = None,
    ) -> Pages[DeviceCommandView]:
        """List a device's commands.

        The newest first, each with what became of it; for 30 days.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/devices/{part(device)}/commands",
                query={"limit": limit, "cursor": cursor, "status": status},
            ),
            DeviceCommandView,
        )

    def send_device_command(
        self, device: str, body: DeviceCommandBody | Json
    ) -> Answer[CommandView]:
        """Send a command to a device.

        Once on each device that is meant now. Who is away does it when it comes back, if
        that is in time. Sent again by the hub until it is answered, it is not done again.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/devices/{part(device)}/commands", body=body, keyed=True),
            CommandView,
        )

    def list_commands(
        self, project: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[CommandView]:
        """List commands.

        The newest first.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/commands",
                query={"limit": limit, "cursor": cursor},
            ),
            CommandView,
        )

    def send_command(self, project: str, body: CommandBody | Json) -> Answer[CommandView]:
        """Send a command to devices.

        Once on each device that is meant now. Who is away does it when it comes back, if
        that is in time. Sent again by the hub until it is answered, it is not done again.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/projects/{part(project)}/commands", body=body, keyed=True),
            CommandView,
        )

    def cancel_command(self, project: str, command: str) -> Answer[CommandView]:
        """Cancel a command.

        Where it has not begun it is `cancelled`; where it has, it goes on. A device that
        had begun already, and has not been heard of yet, still says so.
        """
        return self._calls.answer(
            Ask("DELETE", f"/api/v1/projects/{part(project)}/commands/{part(command)}"), CommandView
        )

    def get_command(self, project: str, command: str) -> Answer[CommandView]:
        """Read a command."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/projects/{part(project)}/commands/{part(command)}"), CommandView
        )

    def list_command_results(
        self,
        project: str,
        command: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        status: Literal[
            "cancelled",
            "done",
            "expired",
            "failed",
            "interrupted",
            "later",
            "lost",
            "refused",
            "running",
            "timeout",
            "waiting",
        ]
        | None = None,
    ) -> Pages[CommandResultView]:
        """List what became of a command on each device."""
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/commands/{part(command)}/results",
                query={"limit": limit, "cursor": cursor, "status": status},
            ),
            CommandResultView,
        )

    def drop_dead_letters(self, integration: str) -> Answer[Dropped]:
        """Drop all dead letters of an integration."""
        return self._calls.answer(
            Ask("DELETE", f"/api/v1/integrations/{part(integration)}/dead-letters"), Dropped
        )

    def list_dead_letters(
        self, integration: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[DeadLetterView]:
        """List what could not be delivered.

        Oldest first, with the reason that the destination gave. The integration's `status`
        says how many there are, and how many age, or want of room, took before somebody did
        (`lost_letters`).
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/integrations/{part(integration)}/dead-letters",
                query={"limit": limit, "cursor": cursor},
            ),
            DeadLetterView,
        )

    def drop_dead_letter(self, integration: str, letter: str) -> Answer[None]:
        """Drop a dead letter."""
        return self._calls.nothing(
            Ask("DELETE", f"/api/v1/integrations/{part(integration)}/dead-letters/{part(letter)}")
        )

    def get_dead_letter(self, integration: str, letter: str) -> Answer[DeadLetter]:
        """Read a dead letter and its lines."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/integrations/{part(integration)}/dead-letters/{part(letter)}"),
            DeadLetter,
        )

    def patch_dead_letter(self, integration: str, letter: str, changes: Json) -> Answer[DeadLetter]:
        """Fix the lines of a dead letter.

        It keeps its id and its place; a replay then sends it as it is now.
        """
        return self._calls.answer(
            Ask(
                "PATCH",
                f"/api/v1/integrations/{part(integration)}/dead-letters/{part(letter)}",
                body=changes,
                merge=True,
            ),
            DeadLetter,
        )

    def drop_refused(self, project: str) -> Answer[Dropped]:
        """Drop what nobody can read."""
        return self._calls.answer(
            Ask("DELETE", f"/api/v1/projects/{part(project)}/dead-letters"), Dropped
        )

    def list_refused(
        self, project: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[DeadLetterView]:
        """List what devices sent and nobody can read.

        Oldest first. `GET /projects/{project}/relay` says how many there are, and how many
        age, or want of room, took.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/dead-letters",
                query={"limit": limit, "cursor": cursor},
            ),
            DeadLetterView,
        )

    def undo_deletion_by_link(self, body: UndoBody | Json) -> Answer[UndoneView]:
        """Undo the deletion of an account by the link in the mail."""
        return self._calls.answer(
            Ask("POST", "/api/v1/account-deletions/undo", body=body), UndoneView
        )

    def undo_deletion(self, account: str, *, if_match: str | None = None) -> Answer[None]:
        """Undo the deletion of an account.

        Its devices and tokens are let in again.
        """
        return self._calls.nothing(
            Ask("DELETE", f"/api/v1/accounts/{part(account)}/deletion", if_match=if_match)
        )

    def get_deletion(self, account: str) -> Answer[DeletionView]:
        """See what goes with an account."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/accounts/{part(account)}/deletion"), DeletionView
        )

    def request_deletion(self, account: str, body: DeletionBody | Json) -> Answer[DeletionView]:
        """Delete an account.

        At once its devices are cut off, its tokens are void, and nothing in it changes. For
        14 days an owner may undo that, here or by the link in the mail; then everything is
        erased.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/accounts/{part(account)}/deletion", body=body, keyed=True),
            DeletionView,
        )

    def create_export(self, account: str) -> Answer[ExportView]:
        """Ask for all that an account has.

        It can be fetched for a week: a ZIP archive of JSON lines with projects, devices,
        integrations without their secrets, members and more.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/accounts/{part(account)}/exports", keyed=True), ExportView
        )

    def get_export(self, account: str, export: str) -> Answer[ExportView]:
        """Read where an export is."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/accounts/{part(account)}/exports/{part(export)}"), ExportView
        )

    def get_archive(self, account: str, export: str) -> AbstractContextManager[Iterator[bytes]]:
        """Fetch an export.

        As things are at that moment.
        """
        return self._calls.file(
            Ask("GET", f"/api/v1/accounts/{part(account)}/exports/{part(export)}/archive")
        )

    def read_data_usage(
        self, *, from_: str | None = None, to: str | None = None
    ) -> Answer[DataUsageView]:
        """Read how much all devices of the account sent and were sent.

        With projects that are gone meanwhile. Counted are MQTT messages and the bytes of
        their topics and payloads, as compressed as they are sent; not what MQTT, TCP, IP
        and TLS add to that: docs/devices.md. A day is known for 400 days; the last ten
        seconds are yet to come.
        """
        return self._calls.answer(
            Ask("GET", "/api/v1/data-usage", query={"from": from_, "to": to}), DataUsageView
        )

    def delete_device(self, device: str, *, if_match: str | None = None) -> Answer[None]:
        """Revoke a device and forget it.

        It is cut off at once and its key is void; with a valid project token it may
        register again, as a new device.
        """
        return self._calls.nothing(
            Ask("DELETE", f"/api/v1/devices/{part(device)}", if_match=if_match)
        )

    def get_device(self, device: str) -> Answer[DeviceView]:
        """Read a device."""
        return self._calls.answer(Ask("GET", f"/api/v1/devices/{part(device)}"), DeviceView)

    def patch_device(
        self, device: str, changes: Json, *, if_match: str | None = None
    ) -> Answer[DeviceView]:
        """Label a device, put it into a group, or tag it."""
        return self._calls.answer(
            Ask(
                "PATCH",
                f"/api/v1/devices/{part(device)}",
                body=changes,
                merge=True,
                if_match=if_match,
            ),
            DeviceView,
        )

    def read_device_data_usage(
        self, device: str, *, from_: str | None = None, to: str | None = None
    ) -> Answer[DataUsageView]:
        """Read how much a device sent and was sent.

        Counted are MQTT messages and the bytes of their topics and payloads, as compressed
        as they are sent; not what MQTT, TCP, IP and TLS add to that: docs/devices.md. A day
        is known for 400 days; the last ten seconds are yet to come.
        """
        return self._calls.answer(
            Ask(
                "GET", f"/api/v1/devices/{part(device)}/data-usage", query={"from": from_, "to": to}
            ),
            DataUsageView,
        )

    def read_project_data_usage(
        self, project: str, *, from_: str | None = None, to: str | None = None
    ) -> Answer[DataUsageView]:
        """Read how much a project's devices sent and were sent.

        With those that are gone meanwhile. Counted are MQTT messages and the bytes of their
        topics and payloads, as compressed as they are sent; not what MQTT, TCP, IP and TLS
        add to that: docs/devices.md. A day is known for 400 days; the last ten seconds are
        yet to come.
        """
        return self._calls.answer(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/data-usage",
                query={"from": from_, "to": to},
            ),
            DataUsageView,
        )

    def list_device_data_usage(
        self,
        project: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        from_: str | None = None,
        to: str | None = None,
    ) -> Pages[DeviceDataCount]:
        """List a project's devices by how much they sent and were sent.

        The most first. Counted are MQTT messages and the bytes of their topics and
        payloads, as compressed as they are sent; not what MQTT, TCP, IP and TLS add to
        that: docs/devices.md. A day is known for 400 days; the last ten seconds are yet to
        come.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/data-usage/devices",
                query={"limit": limit, "cursor": cursor, "from": from_, "to": to},
            ),
            DeviceDataCount,
        )

    def approve_devices(
        self, project: str, body: DeviceApprovals | Json
    ) -> Answer[list[ApprovedDevice]]:
        """Let devices in that wait for it.

        Devices wait when they register with a project token of which `approval` is true.
        Each has an outcome of its own; delete those that you do not want. A device hears of
        it within a minute or two.
        """
        return self._calls.answer(
            Ask(
                "POST", f"/api/v1/projects/{part(project)}/device-approvals", body=body, keyed=True
            ),
            list[ApprovedDevice],
        )

    def change_devices(
        self, project: str, body: DeviceChanges | Json
    ) -> Answer[list[ChangedDevice]]:
        """Label, group and tag many devices at once.

        Each change has an outcome of its own, in the order of the request: one that cannot
        be made holds up no other.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/projects/{part(project)}/device-changes", body=body, keyed=True),
            list[ChangedDevice],
        )

    def list_devices(
        self,
        project: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        online: bool | None = None,
        label: str | None = None,
        group: str | None = None,
        status: Literal["active", "pending", "quarantined", "revoked", "waiting"] | None = None,
        tags: str | None = None,
        app: Literal["ended", "failed", "running", "starting", "stopped", "stopping", "waiting"]
        | None = None,
        revision: str | None = None,
        q: str | None = None,
    ) -> Pages[DeviceView]:
        """List a project's devices."""
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/devices",
                query={
                    "limit": limit,
                    "cursor": cursor,
                    "online": online,
                    "label": label,
                    "group": group,
                    "status": status,
                    "tags": tags,
                    "app": app,
                    "revision": revision,
                    "q": q,
                },
            ),
            DeviceView,
        )

    def get_device_envars(self, device: str) -> Answer[DeviceEnvarsView]:
        """Read what variables a device gets.

        With where each is set: for the device itself, its group, or its project.
        """
        return self._calls.answer(
            Ask("GET", f"/api/v1/devices/{part(device)}/envars"), DeviceEnvarsView
        )

    def patch_device_envars(
        self, device: str, changes: Json, *, if_match: str | None = None
    ) -> Answer[DeviceEnvarsView]:
        """Change some of a device's variables.

        What is left out stays; `null` in place of a variable drops it.
        """
        return self._calls.answer(
            Ask(
                "PATCH",
                f"/api/v1/devices/{part(device)}/envars",
                body=changes,
                merge=True,
                if_match=if_match,
            ),
            DeviceEnvarsView,
        )

    def put_device_envars(
        self, device: str, body: EnvarsBody | Json, *, if_match: str | None = None
    ) -> Answer[DeviceEnvarsView]:
        """Replace a device's variables.

        Replaces what is set for this very device; what its project and group have stays.
        """
        return self._calls.answer(
            Ask("PUT", f"/api/v1/devices/{part(device)}/envars", body=body, if_match=if_match),
            DeviceEnvarsView,
        )

    def delete_device_envar(
        self, device: str, name: str, *, if_match: str | None = None
    ) -> Answer[None]:
        """Drop one of a device's variables."""
        return self._calls.nothing(
            Ask("DELETE", f"/api/v1/devices/{part(device)}/envars/{part(name)}", if_match=if_match)
        )

    def get_device_envar(self, device: str, name: str) -> Answer[EnvarView]:
        """Read one of a device's variables."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/devices/{part(device)}/envars/{part(name)}"), EnvarView
        )

    def put_device_envar(
        self,
        device: str,
        name: str,
        body: EnvarBody | Json,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
    ) -> Answer[EnvarView]:
        """Set one of a device's variables."""
        return self._calls.answer(
            Ask(
                "PUT",
                f"/api/v1/devices/{part(device)}/envars/{part(name)}",
                body=body,
                if_match=if_match,
                if_absent=if_absent,
            ),
            EnvarView,
        )

    def list_envar_statuses(
        self,
        project: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        pending: bool | None = None,
    ) -> Pages[EnvarStatusView]:
        """List how far devices are with their variables.

        A device is sent what it is to have as soon as it changes or comes back, and says
        which version it uses.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/envar-statuses",
                query={"limit": limit, "cursor": cursor, "pending": pending},
            ),
            EnvarStatusView,
        )

    def get_project_envars(self, project: str) -> Answer[EnvarsView]:
        """Read a project's variables."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/projects/{part(project)}/envars"), EnvarsView
        )

    def patch_project_envars(
        self, project: str, changes: Json, *, if_match: str | None = None
    ) -> Answer[EnvarsView]:
        """Change some of a project's variables.

        What is left out stays; `null` in place of a variable drops it.
        """
        return self._calls.answer(
            Ask(
                "PATCH",
                f"/api/v1/projects/{part(project)}/envars",
                body=changes,
                merge=True,
                if_match=if_match,
            ),
            EnvarsView,
        )

    def put_project_envars(
        self, project: str, body: EnvarsBody | Json, *, if_match: str | None = None
    ) -> Answer[EnvarsView]:
        """Replace a project's variables.

        What is left out is dropped; the agent's own (`ISAAX_…`) get their defaults back.
        """
        return self._calls.answer(
            Ask("PUT", f"/api/v1/projects/{part(project)}/envars", body=body, if_match=if_match),
            EnvarsView,
        )

    def delete_project_envar(
        self, project: str, name: str, *, if_match: str | None = None
    ) -> Answer[None]:
        """Drop one of a project's variables.

        The agent's own (`ISAAX_…`) stay.
        """
        return self._calls.nothing(
            Ask(
                "DELETE", f"/api/v1/projects/{part(project)}/envars/{part(name)}", if_match=if_match
            )
        )

    def get_project_envar(self, project: str, name: str) -> Answer[EnvarView]:
        """Read one of a project's variables."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/projects/{part(project)}/envars/{part(name)}"), EnvarView
        )

    def put_project_envar(
        self,
        project: str,
        name: str,
        body: EnvarBody | Json,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
    ) -> Answer[EnvarView]:
        """Set one of a project's variables."""
        return self._calls.answer(
            Ask(
                "PUT",
                f"/api/v1/projects/{part(project)}/envars/{part(name)}",
                body=body,
                if_match=if_match,
                if_absent=if_absent,
            ),
            EnvarView,
        )

    def get_group_envars(self, project: str, group: str) -> Answer[EnvarsView]:
        """Read a group's variables."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/projects/{part(project)}/groups/{part(group)}/envars"), EnvarsView
        )

    def patch_group_envars(
        self, project: str, group: str, changes: Json, *, if_match: str | None = None
    ) -> Answer[EnvarsView]:
        """Change some of a group's variables.

        What is left out stays; `null` in place of a variable drops it.
        """
        return self._calls.answer(
            Ask(
                "PATCH",
                f"/api/v1/projects/{part(project)}/groups/{part(group)}/envars",
                body=changes,
                merge=True,
                if_match=if_match,
            ),
            EnvarsView,
        )

    def put_group_envars(
        self, project: str, group: str, body: EnvarsBody | Json, *, if_match: str | None = None
    ) -> Answer[EnvarsView]:
        """Replace a group's variables.

        What is left out is dropped.
        """
        return self._calls.answer(
            Ask(
                "PUT",
                f"/api/v1/projects/{part(project)}/groups/{part(group)}/envars",
                body=body,
                if_match=if_match,
            ),
            EnvarsView,
        )

    def delete_group_envar(
        self, project: str, group: str, name: str, *, if_match: str | None = None
    ) -> Answer[None]:
        """Drop one of a group's variables."""
        return self._calls.nothing(
            Ask(
                "DELETE",
                f"/api/v1/projects/{part(project)}/groups/{part(group)}/envars/{part(name)}",
                if_match=if_match,
            )
        )

    def get_group_envar(self, project: str, group: str, name: str) -> Answer[EnvarView]:
        """Read one of a group's variables."""
        return self._calls.answer(
            Ask(
                "GET", f"/api/v1/projects/{part(project)}/groups/{part(group)}/envars/{part(name)}"
            ),
            EnvarView,
        )

    def put_group_envar(
        self,
        project: str,
        group: str,
        name: str,
        body: EnvarBody | Json,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
    ) -> Answer[EnvarView]:
        """Set one of a group's variables."""
        return self._calls.answer(
            Ask(
                "PUT",
                f"/api/v1/projects/{part(project)}/groups/{part(group)}/envars/{part(name)}",
                body=body,
                if_match=if_match,
                if_absent=if_absent,
            ),
            EnvarView,
        )

    def list_groups(
        self, project: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[GroupView]:
        """List a project's groups.

        Every project has the group `default`; another is there from the first time that a
        device, or a project token, names it.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/groups",
                query={"limit": limit, "cursor": cursor},
            ),
            GroupView,
        )

    def create_group(self, project: str, body: GroupBody | Json) -> Answer[GroupView]:
        """Make a group."""
        return self._calls.answer(
            Ask("POST", f"/api/v1/projects/{part(project)}/groups", body=body, keyed=True),
            GroupView,
        )

    def delete_group(
        self, project: str, group: str, *, if_match: str | None = None
    ) -> Answer[None]:
        """Delete a group in which no device is."""
        return self._calls.nothing(
            Ask(
                "DELETE",
                f"/api/v1/projects/{part(project)}/groups/{part(group)}",
                if_match=if_match,
            )
        )

    def get_group(self, project: str, group: str) -> Answer[GroupView]:
        """Read a group."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/projects/{part(project)}/groups/{part(group)}"), GroupView
        )

    def patch_group(
        self, project: str, group: str, changes: Json, *, if_match: str | None = None
    ) -> Answer[GroupView]:
        """Describe a group."""
        return self._calls.answer(
            Ask(
                "PATCH",
                f"/api/v1/projects/{part(project)}/groups/{part(group)}",
                body=changes,
                merge=True,
                if_match=if_match,
            ),
            GroupView,
        )

    def list_integration_types(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[IntegrationType]:
        """List the kinds of integration."""
        return self._calls.pages(
            Ask("GET", "/api/v1/integration-types", query={"limit": limit, "cursor": cursor}),
            IntegrationType,
        )

    def get_integration_type(self, type_: str) -> Answer[IntegrationType]:
        """Read a kind of integration."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/integration-types/{part(type_)}"), IntegrationType
        )

    def delete_integration(self, integration: str, *, if_match: str | None = None) -> Answer[None]:
        """Delete an integration and its dead letters."""
        return self._calls.nothing(
            Ask("DELETE", f"/api/v1/integrations/{part(integration)}", if_match=if_match)
        )

    def get_integration(self, integration: str) -> Answer[IntegrationView]:
        """Read an integration, and how it fares."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/integrations/{part(integration)}"), IntegrationView
        )

    def patch_integration(
        self, integration: str, changes: Json, *, if_match: str | None = None
    ) -> Answer[IntegrationView]:
        """Change an integration."""
        return self._calls.answer(
            Ask(
                "PATCH",
                f"/api/v1/integrations/{part(integration)}",
                body=changes,
                merge=True,
                if_match=if_match,
            ),
            IntegrationView,
        )

    def put_integration(
        self, integration: str, body: IntegrationChange | Json, *, if_match: str | None = None
    ) -> Answer[IntegrationView]:
        """Replace an integration.

        It goes on where it was: nothing is lost or sent again.
        """
        return self._calls.answer(
            Ask("PUT", f"/api/v1/integrations/{part(integration)}", body=body, if_match=if_match),
            IntegrationView,
        )

    def dry_run_integration(
        self, integration: str, body: DryRunBody | Json | None = None
    ) -> Answer[list[ShapedLine]]:
        """See what a shape does to the last lines.

        Each of the project's last lines, and what of it would be sent. Nothing is.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/integrations/{part(integration)}/dry-run", body=body, keyed=True),
            list[ShapedLine],
        )

    def pause_integration(self, integration: str) -> Answer[IntegrationView]:
        """Pause an integration.

        Lines wait for it, as long as they are kept. It is the same as `"enabled": false`;
        one that is paused stays so.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/integrations/{part(integration)}/pause", keyed=True),
            IntegrationView,
        )

    def replay_integration(self, integration: str, body: ReplayBody | Json) -> Answer[ReplayView]:
        """Deliver dead letters, or the lines since a time, once more.

        Dead letters are delivered in their order, and are gone from the list. With `from`,
        the lines since then are delivered again and before newer ones, as far as retention
        has kept them; `"from": "now"` leaves out what waits.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/integrations/{part(integration)}/replay", body=body, keyed=True),
            ReplayView,
        )

    def resume_integration(self, integration: str) -> Answer[IntegrationView]:
        """Let an integration go on.

        It goes on where it was paused: nothing is lost or sent again.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/integrations/{part(integration)}/resume", keyed=True),
            IntegrationView,
        )

    def test_integration(
        self, integration: str, body: TestBody | Json | None = None
    ) -> Answer[TestResult]:
        """Send a test line now.

        One line (for metrics: one sample, `isaax_test`) of the host `isaax-test` goes
        there, by a connection of its own and past the shape, and what the destination
        answered is shown. What it delivers otherwise goes on meanwhile.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/integrations/{part(integration)}/test", body=body, keyed=True),
            TestResult,
        )

    def list_integrations(
        self, project: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[IntegrationView]:
        """List a project's integrations."""
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/integrations",
                query={"limit": limit, "cursor": cursor},
            ),
            IntegrationView,
        )

    def create_integration(
        self, project: str, body: IntegrationBody | Json
    ) -> Answer[IntegrationView]:
        """Configure an integration.

        Every line that is taken from now on, and that its shape lets through, goes there.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/projects/{part(project)}/integrations", body=body, keyed=True),
            IntegrationView,
        )

    def test_integration_config(
        self, project: str, body: TestConfigBody | Json
    ) -> Answer[TestResult]:
        """Send a test line with a config that is not saved.

        As it would be made; nothing is kept.
        """
        return self._calls.answer(
            Ask(
                "POST", f"/api/v1/projects/{part(project)}/integrations/test", body=body, keyed=True
            ),
            TestResult,
        )

    def list_invitations(
        self, account: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[InvitationView]:
        """List the invitations that wait."""
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/accounts/{part(account)}/invitations",
                query={"limit": limit, "cursor": cursor},
            ),
            InvitationView,
        )

    def create_invitation(
        self, account: str, body: InvitationBody | Json
    ) -> Answer[InvitationView]:
        """Invite somebody by mail.

        The mail has a link that is good once, and for a week. Another invitation of the
        same address replaces the one that waits. Only an owner invites owners. The answer
        is the same whether the address has an account here or not.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/accounts/{part(account)}/invitations", body=body, keyed=True),
            InvitationView,
        )

    def delete_invitation(
        self, account: str, invitation: str, *, if_match: str | None = None
    ) -> Answer[None]:
        """Withdraw an invitation."""
        return self._calls.nothing(
            Ask(
                "DELETE",
                f"/api/v1/accounts/{part(account)}/invitations/{part(invitation)}",
                if_match=if_match,
            )
        )

    def get_invitation(self, account: str, invitation: str) -> Answer[InvitationView]:
        """Read an invitation."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/accounts/{part(account)}/invitations/{part(invitation)}"),
            InvitationView,
        )

    def resend_invitation(self, account: str, invitation: str) -> Answer[InvitationView]:
        """Send an invitation again.

        With another link, which is good for a week; the one before is not.
        """
        return self._calls.answer(
            Ask(
                "POST",
                f"/api/v1/accounts/{part(account)}/invitations/{part(invitation)}/resend",
                keyed=True,
            ),
            InvitationView,
        )

    def preview_invitation(self, body: PreviewBody | Json) -> Answer[InvitedView]:
        """Look at an invitation by its link.

        Nothing changes.
        """
        return self._calls.answer(
            Ask("POST", "/api/v1/invitations/preview", body=body), InvitedView
        )

    def redeem_invitation(self, body: RedeemBody | Json) -> Answer[JoinedView]:
        """Accept an invitation by its link.

        Whoever has the link reads the address: who has it already joins, and a newcomer
        gives a name and a password. With a session, it must be that of the address.
        """
        return self._calls.answer(Ask("POST", "/api/v1/invitations/redeem", body=body), JoinedView)

    def read_logs(
        self,
        project: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        device: str | None = None,
        stream: str | None = None,
    ) -> Pages[LogLine]:
        """Read a project's log, or follow it.

        The newest lines, oldest first; `Link: rel="next"` leads to older ones. With
        `Accept: text/event-stream` it follows the log live, and goes on after `Last-Event-
        ID` when the client reconnects.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/logs",
                query={"limit": limit, "cursor": cursor, "device": device, "stream": stream},
            ),
            LogLine,
        )

    def follow_logs(
        self, project: str, *, device: str | None = None, stream: str | None = None, after: str = ""
    ) -> Events[TailLine]:
        """Follow: read a project's log, or follow it.

        The newest lines, oldest first; `Link: rel="next"` leads to older ones. With
        `Accept: text/event-stream` it follows the log live, and goes on after `Last-Event-
        ID` when the client reconnects.
        """
        return self._calls.events(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/logs",
                query={"device": device, "stream": stream},
            ),
            TailLine,
            after=after,
        )

    def list_members(
        self, account: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[MemberView]:
        """List the members of an account."""
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/accounts/{part(account)}/members",
                query={"limit": limit, "cursor": cursor},
            ),
            MemberView,
        )

    def leave_account(self, account: str, *, if_match: str | None = None) -> Answer[None]:
        """Leave an account.

        The last owner cannot: they make somebody else owner first, or delete the account.
        """
        return self._calls.nothing(
            Ask("DELETE", f"/api/v1/accounts/{part(account)}/members/me", if_match=if_match)
        )

    def delete_member(
        self, account: str, user: str, *, if_match: str | None = None
    ) -> Answer[None]:
        """Take a member out.

        At once: the tokens that they made here are revoked, and their sessions no longer
        reach this account.
        """
        return self._calls.nothing(
            Ask(
                "DELETE",
                f"/api/v1/accounts/{part(account)}/members/{part(user)}",
                if_match=if_match,
            )
        )

    def get_member(self, account: str, user: str) -> Answer[MemberView]:
        """Read a member."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/accounts/{part(account)}/members/{part(user)}"), MemberView
        )

    def patch_member(
        self, account: str, user: str, changes: Json, *, if_match: str | None = None
    ) -> Answer[MemberView]:
        """Give a member another role.

        It counts from their next request on. Only an owner makes or changes owners, and the
        last one stays.
        """
        return self._calls.answer(
            Ask(
                "PATCH",
                f"/api/v1/accounts/{part(account)}/members/{part(user)}",
                body=changes,
                merge=True,
                if_match=if_match,
            ),
            MemberView,
        )

    def list_project_members(
        self, project: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[ProjectMemberView]:
        """List what members are in a project."""
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/members",
                query={"limit": limit, "cursor": cursor},
            ),
            ProjectMemberView,
        )

    def delete_project_member(
        self, project: str, user: str, *, if_match: str | None = None
    ) -> Answer[None]:
        """Narrow a member's role no longer.

        In this project they are again what they are in the account.
        """
        return self._calls.nothing(
            Ask(
                "DELETE",
                f"/api/v1/projects/{part(project)}/members/{part(user)}",
                if_match=if_match,
            )
        )

    def get_project_member(self, project: str, user: str) -> Answer[ProjectMemberView]:
        """Read what a member is in a project."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/projects/{part(project)}/members/{part(user)}"), ProjectMemberView
        )

    def put_project_member(
        self, project: str, user: str, body: MemberBody | Json, *, if_match: str | None = None
    ) -> Answer[ProjectMemberView]:
        """Narrow a member's role in a project.

        To one that may less than the role in the account; an owner's cannot be narrowed. Of
        a project in which they are `billing` they see nothing. It counts from their next
        request on.
        """
        return self._calls.answer(
            Ask(
                "PUT",
                f"/api/v1/projects/{part(project)}/members/{part(user)}",
                body=body,
                if_match=if_match,
            ),
            ProjectMemberView,
        )

    def read_device_metrics(
        self,
        device: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        name: str | None = None,
        type_: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        step: int | None = None,
    ) -> Pages[SeriesView]:
        """List what a device measures, or read it.

        One item for each series: a name with its labels. With `name`, each has its points:
        the mean, minimum and maximum of each step; of a counter, by how much it grew each
        second. `step` says which of 10, 30 and 60 s, 5, 15 and 30 min, 1, 3, 6 and 12 h, 1,
        7 and 28 days it is; a step without samples has no point. Samples are kept for some
        days, what 5 minutes and an hour of them come to for longer: docs/metrics.md.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/devices/{part(device)}/metrics",
                query={
                    "limit": limit,
                    "cursor": cursor,
                    "name": name,
                    "type": type_,
                    "since": since,
                    "until": until,
                    "step": step,
                },
            ),
            SeriesView,
        )

    def read_project_metrics(
        self,
        project: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        name: str | None = None,
        type_: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        step: int | None = None,
    ) -> Pages[MetricView]:
        """List what a project's devices measure, or read it all together.

        One item for each metric, over all of its series. With `name`, each has its points:
        the mean, minimum and maximum of each step; of a counter, by how much it grew each
        second. `step` says which of 10, 30 and 60 s, 5, 15 and 30 min, 1, 3, 6 and 12 h, 1,
        7 and 28 days it is; a step without samples has no point. Samples are kept for some
        days, what 5 minutes and an hour of them come to for longer: docs/metrics.md.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/metrics",
                query={
                    "limit": limit,
                    "cursor": cursor,
                    "name": name,
                    "type": type_,
                    "since": since,
                    "until": until,
                    "step": step,
                },
            ),
            MetricView,
        )

    def scrape_metrics(self, project: str) -> Answer[str]:
        """Scrape a project's metrics.

        What each device said last, with labels `project`, `device` and `host`; what is
        older than five minutes is left out. Prometheus' text format, or OpenMetrics where
        `Accept` asks for it.
        """
        return self._calls.text(Ask("GET", f"/api/v1/projects/{part(project)}/metrics/prometheus"))

    def list_projects(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[ProjectView]:
        """List projects."""
        return self._calls.pages(
            Ask("GET", "/api/v1/projects", query={"limit": limit, "cursor": cursor}), ProjectView
        )

    def create_project(self, body: ProjectBody | Json) -> Answer[ProjectView]:
        """Make a project."""
        return self._calls.answer(
            Ask("POST", "/api/v1/projects", body=body, keyed=True), ProjectView
        )

    def delete_project(self, project: str, *, if_match: str | None = None) -> Answer[None]:
        """Delete a project.

        Deletes its tokens, devices and integrations as well; its devices are cut off at
        once.
        """
        return self._calls.nothing(
            Ask("DELETE", f"/api/v1/projects/{part(project)}", if_match=if_match)
        )

    def get_project(self, project: str) -> Answer[ProjectView]:
        """Read a project."""
        return self._calls.answer(Ask("GET", f"/api/v1/projects/{part(project)}"), ProjectView)

    def patch_project(
        self, project: str, changes: Json, *, if_match: str | None = None
    ) -> Answer[ProjectView]:
        """Change a project."""
        return self._calls.answer(
            Ask(
                "PATCH",
                f"/api/v1/projects/{part(project)}",
                body=changes,
                merge=True,
                if_match=if_match,
            ),
            ProjectView,
        )

    def get_limits(self, project: str) -> Answer[LimitsView]:
        """Read what a project may send, and what it sent.

        The operator of the hub sets the limits (`isaax limits set`). Who sends more is
        asked to wait, and loses nothing.
        """
        return self._calls.answer(
            Ask("GET", f"/api/v1/projects/{part(project)}/limits"), LimitsView
        )

    def get_project_relay(self, project: str) -> Answer[ProjectHealth]:
        """See how a project's relay fares."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/projects/{part(project)}/relay"), ProjectHealth
        )

    def get_relay(self) -> Answer[RelayHealth]:
        """See how the relay fares.

        All projects of the account together. Who runs the hub finds the figures of the
        whole relay, in Prometheus form, at `/metrics`.
        """
        return self._calls.answer(Ask("GET", "/api/v1/relay"), RelayHealth)

    def list_script_results(
        self, device: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[ScriptResultView]:
        """List what became of its project's scripts on a device.

        The newest first; the last 100 of 30 days are kept.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/devices/{part(device)}/script-results",
                query={"limit": limit, "cursor": cursor},
            ),
            ScriptResultView,
        )

    def list_script_statuses(
        self,
        project: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        pending: bool | None = None,
    ) -> Pages[ScriptStatusView]:
        """List how far devices are with their scripts.

        A device is sent them as soon as one changes, or when it comes back, and says which
        version it has.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/script-statuses",
                query={"limit": limit, "cursor": cursor, "pending": pending},
            ),
            ScriptStatusView,
        )

    def get_scripts(self, project: str) -> Answer[ScriptsView]:
        """Read a project's scripts.

        Devices run them by themselves: before the app is first started there, and before
        and after each update of it.
        """
        return self._calls.answer(
            Ask("GET", f"/api/v1/projects/{part(project)}/scripts"), ScriptsView
        )

    def get_script(self, project: str, moment: str) -> Answer[ScriptView]:
        """Read one of a project's scripts."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/projects/{part(project)}/scripts/{part(moment)}"), ScriptView
        )

    def put_script(
        self, project: str, moment: str, body: ScriptBody | Json, *, if_match: str | None = None
    ) -> Answer[ScriptView]:
        """Change one of a project's scripts.

        Makes a new version, unless it is as the newest. Devices get it at once, or when
        they come back.
        """
        return self._calls.answer(
            Ask(
                "PUT",
                f"/api/v1/projects/{part(project)}/scripts/{part(moment)}",
                body=body,
                if_match=if_match,
            ),
            ScriptView,
        )

    def restore_script(
        self, project: str, moment: str, body: RestoreBody | Json | None = None
    ) -> Answer[ScriptView]:
        """Restore one of a project's scripts.

        As a new version: a former one, or the one that every project begins with.
        """
        return self._calls.answer(
            Ask(
                "POST",
                f"/api/v1/projects/{part(project)}/scripts/{part(moment)}/restore",
                body=body,
                keyed=True,
            ),
            ScriptView,
        )

    def list_script_versions(
        self, project: str, moment: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[ScriptView]:
        """List the versions of one of a project's scripts.

        The newest first; the last 100 are kept.
        """
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/scripts/{part(moment)}/versions",
                query={"limit": limit, "cursor": cursor},
            ),
            ScriptView,
        )

    def list_passkeys(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[PasskeyView]:
        """List one's passkeys."""
        return self._calls.pages(
            Ask("GET", "/api/v1/users/me/passkeys", query={"limit": limit, "cursor": cursor}),
            PasskeyView,
        )

    def add_passkey(self, body: NewPasskeyBody | Json) -> Answer[NewPasskeyView]:
        """Add a passkey.

        From now on a login asks for a second factor, which the passkey is; it also logs in
        by itself.
        """
        return self._calls.answer(
            Ask("POST", "/api/v1/users/me/passkeys", body=body, keyed=True), NewPasskeyView
        )

    def ask_new_passkey(self) -> Answer[OptionsView]:
        """Begin with a new passkey."""
        return self._calls.answer(
            Ask("POST", "/api/v1/users/me/passkeys/options", keyed=True), OptionsView
        )

    def remove_passkey(self, passkey: str) -> Answer[None]:
        """Remove a passkey."""
        return self._calls.nothing(Ask("DELETE", f"/api/v1/users/me/passkeys/{part(passkey)}"))

    def get_passkey(self, passkey: str) -> Answer[PasskeyView]:
        """Read one of one's passkeys."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/users/me/passkeys/{part(passkey)}"), PasskeyView
        )

    def patch_passkey(self, passkey: str, changes: Json) -> Answer[PasskeyView]:
        """Rename a passkey."""
        return self._calls.answer(
            Ask("PATCH", f"/api/v1/users/me/passkeys/{part(passkey)}", body=changes, merge=True),
            PasskeyView,
        )

    def renew_codes(self) -> Answer[CodesView]:
        """Make new recovery codes.

        Those that there were are good no more.
        """
        return self._calls.answer(
            Ask("POST", "/api/v1/users/me/recovery-codes", keyed=True), CodesView
        )

    def get_factors(self) -> Answer[FactorsView]:
        """Read what second factors one has."""
        return self._calls.answer(Ask("GET", "/api/v1/users/me/second-factors"), FactorsView)

    def remove_totp(self) -> Answer[None]:
        """Remove one's authenticator app."""
        return self._calls.nothing(Ask("DELETE", "/api/v1/users/me/totp"))

    def start_totp(self) -> Answer[NewTotpView]:
        """Begin with an authenticator app.

        Gives the secret for it, once; nothing is asked for before it is confirmed.
        Beginning again makes another secret.
        """
        return self._calls.answer(Ask("POST", "/api/v1/users/me/totp", keyed=True), NewTotpView)

    def confirm_totp(self, body: CodeBody | Json) -> Answer[CodesView]:
        """Confirm one's authenticator app.

        From now on a login asks for a code. Gives recovery codes, unless there are some.
        """
        return self._calls.answer(Ask("PUT", "/api/v1/users/me/totp", body=body), CodesView)

    def reauthenticate(self, body: ProofBody | Json | None = None) -> Answer[None]:
        """Show once more that it is you.

        By the password or a second factor; it is believed for 10 minutes, as a login is.
        Changes of second factors ask for it (`proof-required`).
        """
        return self._calls.nothing(Ask("POST", "/api/v1/reauthentications", body=body, keyed=True))

    def ask_passkey_proof(self) -> Answer[OptionsView]:
        """Ask to show by a passkey that it is you."""
        return self._calls.answer(
            Ask("POST", "/api/v1/reauthentications/passkey-options", keyed=True), OptionsView
        )

    def list_sessions(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[SessionView]:
        """List one's sessions."""
        return self._calls.pages(
            Ask("GET", "/api/v1/sessions", query={"limit": limit, "cursor": cursor}), SessionView
        )

    def log_in(self, body: LoginBody | Json) -> Answer[NewSessionView | SecondFactorView]:
        """Log in.

        Answers with a token to send as `Authorization: Bearer …`, or sets a cookie. It says
        the same for an address that has no account as for a wrong password; after five of
        those each next one has to wait, and the tenth locks the address for an hour. Of
        somebody with a second factor a right password begins no session yet: the answer is
        202, with a challenge.
        """
        return self._calls.either(
            Ask("POST", "/api/v1/sessions", body=body), NewSessionView, SecondFactorView
        )

    def log_out(self) -> Answer[None]:
        """Log out."""
        return self._calls.nothing(Ask("DELETE", "/api/v1/sessions/current"))

    def get_current_session(self) -> Answer[SessionView]:
        """Read the session that asks."""
        return self._calls.answer(Ask("GET", "/api/v1/sessions/current"), SessionView)

    def log_in_by_passkey(self, body: EntryBody | Json) -> Answer[NewSessionView]:
        """Log in by a passkey alone.

        The passkey must have made sure of its user, by a fingerprint or a PIN.
        """
        return self._calls.answer(
            Ask("POST", "/api/v1/sessions/passkey", body=body), NewSessionView
        )

    def ask_passkey_login(self, body: EntryOptionsBody | Json | None = None) -> Answer[OptionsView]:
        """Ask to log in by a passkey alone."""
        return self._calls.answer(
            Ask("POST", "/api/v1/sessions/passkey-options", body=body), OptionsView
        )

    def finish_log_in(self, body: FactorBody | Json) -> Answer[NewSessionView]:
        """Finish logging in by a second factor.

        After `POST /api/v1/sessions` has answered 202. Wrong answers count like wrong
        passwords, and the fifth ends the challenge.
        """
        return self._calls.answer(
            Ask("POST", "/api/v1/sessions/second-factor", body=body), NewSessionView
        )

    def end_session(self, session: str) -> Answer[None]:
        """End one of one's sessions."""
        return self._calls.nothing(Ask("DELETE", f"/api/v1/sessions/{part(session)}"))

    def get_session(self, session: str) -> Answer[SessionView]:
        """Read one of one's sessions."""
        return self._calls.answer(Ask("GET", f"/api/v1/sessions/{part(session)}"), SessionView)

    def list_project_tokens(
        self, project: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Pages[ProjectTokenView]:
        """List a project's tokens."""
        return self._calls.pages(
            Ask(
                "GET",
                f"/api/v1/projects/{part(project)}/tokens",
                query={"limit": limit, "cursor": cursor},
            ),
            ProjectTokenView,
        )

    def create_project_token(
        self, project: str, body: ProjectTokenBody | Json | None = None
    ) -> Answer[ProjectTokenView]:
        """Make a project token.

        The token itself is in this answer and never again. Two tokens of a project are
        valid at a time, so that one can be rotated without a gap.
        """
        return self._calls.answer(
            Ask("POST", f"/api/v1/projects/{part(project)}/tokens", body=body, keyed=True),
            ProjectTokenView,
        )

    def delete_project_token(
        self, project: str, token: str, *, if_match: str | None = None
    ) -> Answer[None]:
        """Revoke a project token.

        Devices that connected with it are cut off at once.
        """
        return self._calls.nothing(
            Ask(
                "DELETE",
                f"/api/v1/projects/{part(project)}/tokens/{part(token)}",
                if_match=if_match,
            )
        )

    def get_project_token(self, project: str, token: str) -> Answer[ProjectTokenView]:
        """Read a project token."""
        return self._calls.answer(
            Ask("GET", f"/api/v1/projects/{part(project)}/tokens/{part(token)}"), ProjectTokenView
        )

    def patch_project_token(
        self, project: str, token: str, changes: Json, *, if_match: str | None = None
    ) -> Answer[ProjectTokenView]:
        """Change what registering with a project token means.

        It holds for devices that register from now on. Those that have registered go on
        connecting with the token until it is deleted.
        """
        return self._calls.answer(
            Ask(
                "PATCH",
                f"/api/v1/projects/{part(project)}/tokens/{part(token)}",
                body=changes,
                merge=True,
                if_match=if_match,
            ),
            ProjectTokenView,
        )

    def change_email(self, body: EmailBody | Json) -> Answer[AcceptedView]:
        """Change one's address.

        The mail to the new address has the link that changes it; the old one is told.
        """
        return self._calls.answer(
            Ask("POST", "/api/v1/email-changes", body=body, keyed=True), AcceptedView
        )

    def confirm_email_change(self, body: TokenBody | Json) -> Answer[None]:
        """Confirm a new address.

        With the token of the link in a mail; it is good once.
        """
        return self._calls.nothing(Ask("POST", "/api/v1/email-changes/redeem", body=body))

    def verify_email(self, body: TokenBody | Json) -> Answer[None]:
        """Verify one's address.

        With the token of the link in a mail; it is good once.
        """
        return self._calls.nothing(Ask("POST", "/api/v1/email-verifications", body=body))

    def ask_reset(self, body: AskResetBody | Json) -> Answer[AcceptedView]:
        """Ask for a link to set a new password.

        The answer is the same whether the address has an account or not.
        """
        return self._calls.answer(Ask("POST", "/api/v1/password-resets", body=body), AcceptedView)

    def reset_password(self, body: ResetBody | Json) -> Answer[None]:
        """Set a new password by a link.

        Ends every session, and unlocks.
        """
        return self._calls.nothing(Ask("POST", "/api/v1/password-resets/redeem", body=body))

    def unlock(self, body: TokenBody | Json) -> Answer[None]:
        """Unlock logging in.

        With the token of the link in a mail; it is good once.
        """
        return self._calls.nothing(Ask("POST", "/api/v1/unlocks", body=body))

    def keep_me_by_link(self, body: StayBody | Json) -> Answer[None]:
        """Undo the deletion of oneself by the link in the mail."""
        return self._calls.nothing(Ask("POST", "/api/v1/user-deletions/undo", body=body))

    def sign_up(self, body: SignUpBody | Json) -> Answer[AcceptedView]:
        """Sign up.

        The mail has a link that verifies the address and makes an account, whose owner you
        are. If the address has one already, the mail says so; this answer is the same.
        """
        return self._calls.answer(Ask("POST", "/api/v1/users", body=body), AcceptedView)

    def delete_me(self) -> Answer[DepartureView]:
        """Delete oneself.

        Asks you to have shown lately that it is you. At once every session ends, and your
        tokens are void. Accounts that only you are in go along. For 14 days you may undo
        that, here or by the link in the mail; then you are erased, and of what you did the
        audit logs keep an id that is nobody's.
        """
        return self._calls.answer(Ask("DELETE", "/api/v1/users/me"), DepartureView)

    def get_me(self) -> Answer[UserView]:
        """Read oneself."""
        return self._calls.answer(Ask("GET", "/api/v1/users/me"), UserView)

    def patch_me(self, changes: Json, *, if_match: str | None = None) -> Answer[UserView]:
        """Change one's name and language."""
        return self._calls.answer(
            Ask("PATCH", "/api/v1/users/me", body=changes, merge=True, if_match=if_match), UserView
        )

    def keep_me(self, *, if_match: str | None = None) -> Answer[None]:
        """Undo the deletion of oneself.

        Your tokens, and the accounts that were to go along, are there again.
        """
        return self._calls.nothing(Ask("DELETE", "/api/v1/users/me/deletion", if_match=if_match))

    def get_departure(self) -> Answer[DepartureView]:
        """See what goes with oneself."""
        return self._calls.answer(Ask("GET", "/api/v1/users/me/deletion"), DepartureView)

    def put_password(self, body: PasswordBody | Json) -> Answer[None]:
        """Change one's password.

        Ends every other session.
        """
        return self._calls.nothing(Ask("PUT", "/api/v1/users/me/password", body=body))
