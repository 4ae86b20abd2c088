//! What one worker's relay counts.

use netio::telemetry::Counter;
use netio::udp::Sent;
use netio::udp::admission::AdmissionCounters;

use crate::impair::Direction;

/// In datagrams, if not said otherwise.
#[derive(Debug, Default)]
pub struct RelayCounters {
    /// Received from clients.
    pub received: Counter,
    /// Received from clients, in bytes of payload.
    pub received_bytes: Counter,
    /// Passed on to the target.
    pub to_target: Counter,
    /// Received from the target.
    pub answers: Counter,
    /// Received from the target, in bytes of payload.
    pub answer_bytes: Counter,
    /// Passed on to clients.
    pub to_clients: Counter,

    /// Of clients, not passed on, by the rules that all answering sockets share.
    pub refused: AdmissionCounters,
    /// Of clients, not passed on: no session was free.
    pub sessions_full: Counter,
    /// Of clients, not passed on: the system gave no socket for a session.
    pub session_failed: Counter,
    /// Not passed on: the queue of the socket towards the target was full.
    pub send_queue_full: Counter,
    /// Not passed on, either way: the kernel did not take them (no route, a firewall).
    pub send_failed: Counter,
    /// Dropped by the kernel as a queue was full before the relay read it, either way.
    pub kernel_drops: Counter,
    /// Received on a session's socket from another address than the target's.
    pub not_from_target: Counter,
    /// Not passed on, either way: no room to hold it until it was due.
    pub hold_full: Counter,
    /// Of clients, not passed on: the session had ended when it was due.
    pub session_ended: Counter,

    /// What the faults ordered have done to datagrams of clients.
    pub faults_to_target: FaultCounters,
    /// What they have done to those of the target.
    pub faults_to_client: FaultCounters,

    /// Times that ICMP told that nobody listens at the target.
    pub target_unreachable: Counter,
    /// Sessions open now.
    pub sessions_open: Counter,
    /// Sessions opened.
    pub sessions_opened: Counter,
    /// Sessions ended because they were idle.
    pub sessions_expired: Counter,
    /// Sessions ended because a new client needed the place.
    pub sessions_displaced: Counter,
}

/// What faults have done to the datagrams of one direction.
#[derive(Debug, Default)]
pub struct FaultCounters {
    /// Lost, as ordered.
    pub lost: Counter,
    /// Dropped, as the queue before the link was full.
    pub queue_full: Counter,
    /// Sent on with one bit turned over.
    pub corrupted: Counter,
    /// Sent on twice.
    pub duplicated: Counter,
    /// Not held when others were.
    pub reordered: Counter,
    /// Held, copies included.
    pub held: Counter,
}

impl FaultCounters {
    /// The name of every fate, with the datagrams that met it.
    pub fn by_fate(&self) -> [(&'static str, u64); 6] {
        [
            ("lost", self.lost.value()),
            ("queue_full", self.queue_full.value()),
            ("corrupted", self.corrupted.value()),
            ("duplicated", self.duplicated.value()),
            ("reordered", self.reordered.value()),
            ("held", self.held.value()),
        ]
    }
}

impl RelayCounters {
    /// What the faults of one direction have done.
    pub fn faults(&self, direction: Direction) -> &FaultCounters {
        match direction {
            Direction::ToTarget => &self.faults_to_target,
            Direction::ToClient => &self.faults_to_client,
        }
    }

    /// The name of every reason why a datagram was not passed on, with how many had it.
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.refused.by_reason().chain([
            ("sessions_full", self.sessions_full.value()),
            ("session_failed", self.session_failed.value()),
            ("send_queue_full", self.send_queue_full.value()),
            ("send_failed", self.send_failed.value()),
            ("receive_queue_full", self.kernel_drops.value()),
            ("not_from_target", self.not_from_target.value()),
            ("hold_full", self.hold_full.value()),
            ("session_ended", self.session_ended.value()),
        ])
    }

    pub(super) fn sent_to_target(&self, sent: &Sent) {
        self.to_target.add(sent.datagrams);
        self.target_unreachable.add(sent.refused);
        self.send_queue_full.add(sent.queue_full);
        self.send_failed.add(sent.failed);
    }

    pub(super) fn sent_to_clients(&self, sent: &Sent) {
        self.to_clients.add(sent.datagrams);
        self.send_queue_full.add(sent.queue_full);
        self.send_failed.add(sent.failed);
    }
}
