//! Who publishes what to whom, for every shape of flow.

use std::ops::Range;

use crate::burst::{number_width, numbered};

/// Subjects of every run begin so.
pub const SUBJECT_PREFIX: &str = "bench.";
/// Connections that share the subscriptions of [`Shape::Subjects`].
const SUBJECT_CONNECTIONS: usize = 4;

/// A kind of flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Publishers without subscribers.
    Pub,
    /// Every subscriber gets every message.
    Fan,
    /// Publisher n sends to subscriber n alone.
    Pairs,
    /// The subscribers are one queue group.
    Queue,
    /// One message to each of many subjects in turn, each subscribed to once.
    Subjects,
}

/// Who gets the messages of a group's publishers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// Nobody.
    Nobody,
    /// Each subscriber gets each message.
    Each,
    /// Each message goes to one of the subscribers.
    One,
}

/// Publishers and subscribers that belong together; the window is kept for each group on its own.
#[derive(Debug)]
pub struct Group {
    /// Index range of its publishers.
    pub publishers: Range<usize>,
    /// Index range of its subscribers.
    pub subscribers: Range<usize>,
    /// Who gets what.
    pub delivery: Delivery,
}

/// What a publisher sends to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subjects {
    /// One subject.
    One(String),
    /// [`SUBJECT_PREFIX`] and a number of fixed width, in turn.
    Numbered(usize),
}

/// One subscription: subject, queue group, id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// The subject.
    pub subject: String,
    /// The queue group, if any.
    pub queue: Option<&'static str>,
    /// The id, of equal length for all subscriptions of a run.
    pub sid: usize,
}

/// The whole plan of a flow.
pub struct Topology {
    /// For each publisher connection, what it sends to.
    pub publishers: Vec<Subjects>,
    /// For each subscriber connection, its subscriptions.
    pub subscribers: Vec<Vec<Subscription>>,
    /// Who belongs together.
    pub groups: Vec<Group>,
}

/// Plans a flow. For [`Shape::Subjects`], `subscribers` is the number of subjects.
pub fn plan(shape: Shape, publishers: usize, subscribers: usize) -> Topology {
    match shape {
        Shape::Pub => one_group(publishers, 0, None, Delivery::Nobody),
        Shape::Fan => one_group(publishers, subscribers, None, Delivery::Each),
        Shape::Queue => one_group(publishers, subscribers, Some("workers"), Delivery::One),
        Shape::Pairs => pairs(publishers),
        Shape::Subjects => subjects(publishers, subscribers),
    }
}

fn one_group(publishers: usize, subscribers: usize, queue: Option<&'static str>, delivery: Delivery) -> Topology {
    let subject = format!("{SUBJECT_PREFIX}all");
    let subscription = Subscription { subject: subject.clone(), queue, sid: 1 };
    Topology {
        publishers: vec![Subjects::One(subject); publishers],
        subscribers: vec![vec![subscription]; subscribers],
        groups: vec![Group { publishers: 0..publishers, subscribers: 0..subscribers, delivery }],
    }
}

fn pairs(count: usize) -> Topology {
    let subject = |number| numbered(&format!("{SUBJECT_PREFIX}pair"), number, number_width(count));
    let subscription = |number| Subscription { subject: subject(number), queue: None, sid: 1 };
    Topology {
        publishers: (0..count).map(|number| Subjects::One(subject(number))).collect(),
        subscribers: (0..count).map(|number| vec![subscription(number)]).collect(),
        groups: (0..count)
            .map(|number| Group {
                publishers: number..number + 1,
                subscribers: number..number + 1,
                delivery: Delivery::Each,
            })
            .collect(),
    }
}

fn subjects(publishers: usize, count: usize) -> Topology {
    let width = number_width(count);
    // Ids start at a power of ten, so that all have one length and so have all messages.
    let first_sid = 10usize.pow(width as u32);
    let connections = SUBJECT_CONNECTIONS.min(count);
    let subscriptions = |connection: usize| {
        (connection..count)
            .step_by(connections)
            .map(|number| Subscription {
                subject: numbered(SUBJECT_PREFIX, number, width),
                queue: None,
                sid: first_sid + number,
            })
            .collect()
    };
    Topology {
        publishers: vec![Subjects::Numbered(count); publishers],
        subscribers: (0..connections).map(subscriptions).collect(),
        groups: vec![Group { publishers: 0..publishers, subscribers: 0..connections, delivery: Delivery::One }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_numbered_subject_is_subscribed_to_exactly_once() {
        let topology = plan(Shape::Subjects, 1, 10_000);
        let mut seen: Vec<_> = topology.subscribers.iter().flatten().map(|one| one.subject.clone()).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 10_000);
        assert_eq!(topology.subscribers.len(), SUBJECT_CONNECTIONS);
        let lengths: Vec<_> =
            topology.subscribers.iter().flatten().map(|one| one.subject.len() + one.sid.to_string().len()).collect();
        assert!(lengths.iter().all(|length| *length == lengths[0]));
    }

    #[test]
    fn pairs_do_not_hear_one_another() {
        let topology = plan(Shape::Pairs, 8, 8);
        assert_eq!(topology.groups.len(), 8);
        for (publisher, subscriptions) in topology.publishers.iter().zip(&topology.subscribers) {
            assert_eq!(*publisher, Subjects::One(subscriptions[0].subject.clone()));
        }
        assert_ne!(topology.publishers[0], topology.publishers[1]);
    }

    #[test]
    fn only_a_queue_shares_its_messages() {
        assert_eq!(plan(Shape::Fan, 1, 16).groups[0].delivery, Delivery::Each);
        let queue = plan(Shape::Queue, 1, 8);
        assert_eq!(queue.groups[0].delivery, Delivery::One);
        assert!(queue.subscribers.iter().all(|one| one[0].queue == Some("workers")));
        assert!(plan(Shape::Pub, 1, 5).subscribers.is_empty());
    }
}
