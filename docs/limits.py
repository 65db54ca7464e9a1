"""The rows of docs/limits.md: what no client can have more of, and how long nobody waits for one.

The numbers are read from the code; a row names the constant, what happens beyond it, and a test that holds that.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Unit(Enum):
    COUNT = "count"
    BYTES = "bytes"
    SECONDS = "seconds"


@dataclass(frozen=True)
class Limit:
    """``constant``: MODULE:NAME below ietpy. ``test``: FILE:FUNCTION below tests."""

    what: str
    constant: str
    unit: Unit
    beyond: str
    test: str

    @property
    def value(self) -> float:
        module, _, name = self.constant.partition(":")
        return float(getattr(importlib.import_module(f"ietpy.{module}"), name))


COUNT, BYTES, SECONDS = Unit.COUNT, Unit.BYTES, Unit.SECONDS

LIMITS: Final[dict[str, list[Limit]]] = {
    "Connections before their login": [
        Limit("waiting to be accepted, on a portal", "server.portals:BACKLOG", COUNT,
              "TCP tries again after a second (the system may allow fewer: net.core.somaxconn)",
              "adversarial/test_crowds.py:test_a_healthy_session_notices_nothing"),
        Limit("accepted in a row, before others are listened to", "server.accepting:AT_ONCE", COUNT,
              "the next round takes more", "adversarial/test_crowds.py:test_a_healthy_session_notices_nothing"),
        Limit("logins under way", "server.logins:LOGINS_AT_ONCE", COUNT,
              "an old one is dropped, of an address that has many and of those who say little (decisions 64)",
              "server/test_logins.py:test_the_oldest_login_makes_room"),
        Limit("of these, from one address", "server.logins:LOGINS_PER_ADDRESS", COUNT, "it loses one of its own",
              "server/test_logins.py:test_one_address_has_so_many_places"),
        Limit("time for a login", "server.logins:LOGIN_SECONDS", SECONDS, "dropped",
              "server/test_logins.py:test_slow_logins_end"),
        Limit("requests of a login", "iscsi.login:ROUNDS_LIMIT", COUNT, "refused (0200)",
              "iscsi/test_login.py:test_rounds_are_limited"),
        Limit("data of a Login Request", "iscsi.connection:LOGIN_DATA_LIMIT", BYTES, "dropped",
              "iscsi/test_connection.py:test_lengths_of_a_login_request"),
        Limit("no descriptor is left, and no login under way: pause", "server.accepting:EXHAUSTED_SECONDS", SECONDS,
              "who waits to be accepted goes on waiting; sessions go on",
              "server/test_accepting.py:test_sessions_go_on_where_nobody_can_be_accepted"),
    ],
    "Secrets": [
        Limit("wrong ones of an address that cost nothing", "server.throttle:FREE", COUNT,
              "the next is heard at growing intervals (decisions 48)",
              "server/test_throttle.py:test_a_few_wrong_secrets_cost_nothing"),
        Limit("longest interval", "server.throttle:LONGEST_PAUSE", SECONDS, "stays at that",
              "server/test_throttle.py:test_intervals_grow_and_have_an_end"),
        Limit("addresses remembered", "server.throttle:SOURCES", COUNT, "the one that was quiet longest is forgotten",
              "server/test_throttle.py:test_the_table_is_bounded"),
    ],
    "Connections and sessions": [
        Limit("connections", "server.capacity:CONNECTIONS_AT_ONCE", COUNT,
              "refused (0302), but for one that replaces another; half of them is for one address",
              "server/test_capacity.py:test_the_server_counts"),
        Limit("memory of the machine for each of these, else there are fewer", "server.capacity:MEMORY_EACH", BYTES,
              "as above", "server/test_capacity.py:test_as_many_as_descriptors_and_memory_allow"),
        Limit("descriptors kept for all else, else there are fewer", "server.capacity:SPARE_DESCRIPTORS", COUNT,
              "as above", "server/test_capacity.py:test_as_many_as_descriptors_and_memory_allow"),
        Limit("descriptors asked for at the start", "server.capacity:DESCRIPTORS", COUNT,
              "what the hard limit allows", "server/test_capacity.py:test_the_soft_limit_is_raised"),
        Limit("discovery sessions of one address", "server.listener:DISCOVERIES_PER_ADDRESS", COUNT,
              "its oldest is closed", "server/test_listener.py:test_one_address_has_so_many_discovery_sessions"),
        Limit("connections of a session, where MaxConnections allows", "iscsi.keys:MOST_CONNECTIONS", COUNT,
              "refused (0206)", "iscsi/test_session.py:test_as_many_as_were_agreed_on"),
        Limit("a session waits for work of the one it replaces", "server.pump:REINSTATEMENT_WAIT", SECONDS,
              "dropped", "server/test_pump.py:test_reinstatement_waits_for_the_old_sessions_work"),
    ],
    "Text": [
        Limit("keys of a negotiation", "iscsi.text:KEYS_LIMIT", COUNT, "refused",
              "iscsi/test_text.py:test_keys_count_over_all_steps"),
        Limit("text of a negotiation", "iscsi.text:TEXT_LIMIT", BYTES, "refused",
              "iscsi/test_text.py:test_bytes_count_over_all_steps"),
        Limit("one value", "iscsi.text:VALUE_LIMIT", BYTES, "refused", "iscsi/test_text.py:test_what_is_refused"),
    ],
    "Commands": [
        Limit("commands of a session under way (QueuedCommands)", "iscsi.target:QUEUED_COMMANDS", COUNT,
              "ignored: outside the command window (RFC 7143 section 4.2.2.1)",
              "iscsi/test_target.py:test_command_window"),
        Limit("immediate ones beside these", "iscsi.full_feature:IMMEDIATE_LIMIT", COUNT, "rejected",
              "iscsi/test_full_feature.py:test_immediate_commands_are_counted"),
        Limit("task management functions that wait", "iscsi.ordering:WAITING_LIMIT", COUNT, "rejected",
              "iscsi/test_ordering.py:test_by_so_many_only"),
        Limit("data of a command", "scsi.limits:MAXIMUM_TRANSFER", BYTES, "ILLEGAL REQUEST",
              "scsi/test_atomic.py:test_or_write_has_a_maximum_transfer_length"),
        Limit("a batch of one connection keeps others from theirs", "server.crowd:PATIENCE", SECONDS,
              "another thread serves them (decisions 77)",
              "server/test_crowd.py:test_a_leader_that_is_stuck_holds_up_nobody_else"),
    ],
    "Data of writes": [
        Limit("the budget of all writes that are not whole; half of it for a session, but its first write",
              "iscsi.memory:LIMIT", BYTES,
              "no R2T, and the command window closes; a quarter of the machine's memory where that is less",
              "iscsi/test_memory.py:test_the_window_closes_while_a_write_waits_and_opens_behind_it"),
        Limit("first writes and unsolicited data may have as much again", "iscsi.memory:LIMIT", BYTES,
              "wait; unsolicited data is dropped, and its command ends with BUSY (decisions 65)",
              "iscsi/test_memory.py:test_there_is_an_end_at_twice_the_limit"),
        Limit("a session's only write is let in all the same up to", "iscsi.memory:SMALL", BYTES, "as above",
              "iscsi/test_memory.py:test_small_writes_are_let_in_whatever_others_have"),
        Limit("who holds what others wait for sends in each time below at least", "iscsi.memory:STEP", BYTES,
              "connection closed", "iscsi/test_memory.py:test_a_byte_now_and_then_is_not_enough"),
        Limit("time for that, and for an answer to a ping others wait for", "iscsi.pings:ANSWER_SECONDS", SECONDS,
              "connection closed", "iscsi/test_memory.py:test_who_holds_memory_and_sends_nothing_is_given_up"),
        Limit("the part of a worker process at least", "daemon.assemble:SHARE_AT_LEAST", BYTES, "as above",
              "daemon/test_assemble.py:test_a_worker_has_room_for_more_than_one_write"),
        Limit("receive memory of a connection", "wire.buffers:CHUNK_SIZE", BYTES,
              "another piece of that size while the data of a command in it is held, which is counted above",
              "wire/test_buffers.py:test_a_nearly_full_pinned_chunk_is_left_for_a_fresh_one"),
        Limit("free receive memory that all have in common, in such pieces", "wire.buffers:KEPT_CHUNKS", COUNT,
              "let go", "wire/test_buffers.py:test_only_some_chunks_are_kept"),
    ],
    "Data of reads": [
        Limit("the budget of all reads of more than a MiB that are not a file's to send; half of it for an address",
              "iscsi.memory:LIMIT", BYTES, "BUSY",
              "server/test_pressure.py:test_a_large_read_for_which_there_is_no_memory_may_be_tried_again"),
        Limit("answers of a connection that wait to be sent", "server.pressure:STAGED_LIMIT", BYTES,
              "no more of its commands are executed; its part of the budget, where there are many connections",
              "server/test_pressure.py:test_many_have_less_each"),
        Limit("of these in any case", "server.pressure:STAGED_AT_LEAST", BYTES, "as above",
              "server/test_pressure.py:test_many_have_less_each"),
        Limit("reads of a connection under way on workers", "server.parking:UNDER_WAY", BYTES, "the next one waits",
              "server/test_pressure.py:test_workers_read_no_more_than_may_wait_to_be_sent"),
        Limit("where all have more than half of the budget, time to take all there is",
              "server.pressure:BEHIND_SECONDS", SECONDS, "who holds most is dropped, until it is enough",
              "server/test_pressure.py:test_who_holds_most_goes_first_and_no_more_than_must"),
        Limit("a peer takes nothing of what is sent, within one call to send it", "server.listener:SEND_SECONDS",
              SECONDS, "dropped, at most twice that time after the last byte it took",
              "server/test_sharing.py:test_it_is_given_up"),
        Limit("requests taken while so many pieces of answers wait, where a session may have several connections",
              "server.sharing:UNSENT_LIMIT", COUNT, "nothing is received from it",
              "server/test_sharing.py:test_what_its_pings_bring_back_is_bounded"),
        Limit("memory kept for reuse", "wire.buffers:KEPT_IN_ALL", BYTES, "let go",
              "wire/test_buffers.py:test_of_all_sizes_only_so_much_is_kept"),
        Limit("queues of blockio kept for reuse, with up to a MiB each", "stores.aio:KEPT", COUNT, "let go",
              "stores/test_aio.py:test_idle_ones_are_kept_but_not_more_than_should_be"),
        Limit("at ErrorRecoveryLevel 1 and 2 data kept to be sent again", "iscsi.retention:RETAINED_LIMIT", BYTES,
              "the oldest goes (decisions 44)",
              "iscsi/test_retention.py:test_who_acknowledges_little_is_asked_to_and_then_loses_the_oldest"),
        Limit("and PDUs with a status", "iscsi.retention:STATUSES_LIMIT", COUNT, "the oldest goes",
              "iscsi/test_retention.py:test_no_more_statuses_are_kept_than_may_be"),
        Limit("nothing came: memory is given back", "server.resting:QUIET_SECONDS", SECONDS, "taken again when it does",
              "server/test_resting.py:test_memory_is_given_back_while_nothing_comes"),
    ],
    "The log": [
        Limit("lines of one code about one peer or LUN, in a minute", "daemon.limiting:PER_PEER", COUNT,
              "counted, and told when the time is over",
              "daemon/test_limiting.py:test_so_many_of_one_peer_and_the_rest_is_counted"),
        Limit("lines of one code in all, in a minute", "daemon.limiting:PER_CODE", COUNT, "as above",
              "daemon/test_limiting.py:test_so_many_of_one_code_from_everywhere"),
        Limit("as long as it goes on that minute doubles, up to", "daemon.limiting:LONGEST", SECONDS, "stays at that",
              "daemon/test_limiting.py:test_what_goes_on_is_told_less_and_less"),
    ],
    "Who administers": [
        Limit("clients of the control socket", "admin.service:CROWD", COUNT, "wait their turn",
              "admin/test_service.py:test_a_crowd_waits_its_turn"),
        Limit("time to ask", "admin.service:PATIENCE", SECONDS, "dropped",
              "admin/test_service.py:test_a_client_that_speaks_too_slowly_is_left"),
        Limit("a question", "admin.protocol:LIMIT", BYTES, "refused",
              "admin/test_protocol.py:test_a_huge_message_is_neither_sent_nor_accepted"),
        Limit("connections of an iSNS server to us", "isns.network:GUESTS", COUNT, "the oldest is closed",
              "isns/test_network.py:test_one_guest_too_many_closes_the_oldest"),
        Limit("a message of an iSNS server", "isns.message:MESSAGE_LIMIT", BYTES, "refused",
              "isns/test_message.py:test_a_message_that_never_ends_is_cut_off_in_time"),
    ],
}
