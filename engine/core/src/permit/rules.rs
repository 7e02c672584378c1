//! The entries of one allow or deny list, arranged for look-up.

use super::PermitError;
use crate::subject;
use crate::subject_table::SubjectTable;

/// What is said about one entry subject.
#[derive(Debug, Default)]
struct Rule {
    /// Said without a queue.
    plain: bool,
    /// Queue patterns it was said for.
    queues: Vec<Box<[u8]>>,
}

/// What the entries say about a subject and a queue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Some entry without a queue matches the subject.
    pub plain: bool,
    /// Some entry with a queue matches the subject, whatever its queue.
    pub queue_rules: bool,
    /// Some entry with a queue matches the subject and the queue asked about.
    pub queue: bool,
}

/// The entries of one allow or deny list.
#[derive(Debug, Default)]
pub(super) struct Rules {
    table: SubjectTable<Rule>,
    subjects: Vec<Box<[u8]>>,
}

impl Rules {
    /// Entries that are subjects.
    pub fn of_subjects(entries: &[Vec<u8>]) -> Result<Self, PermitError> {
        let mut rules = Self::default();
        for entry in entries {
            rules.insert(entry, None)?;
        }
        Ok(rules)
    }

    /// Entries that are `subject` or `subject queue`.
    pub fn of_subscriptions(entries: &[Vec<u8>]) -> Result<Self, PermitError> {
        let mut rules = Self::default();
        for entry in entries {
            let mut fields = entry.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
            match (fields.next(), fields.next(), fields.next()) {
                (Some(subject), Some(queue), None) => rules.insert(subject, Some(queue))?,
                _ => rules.insert(entry, None)?,
            }
        }
        Ok(rules)
    }

    fn insert(&mut self, entry: &[u8], queue: Option<&[u8]>) -> Result<(), PermitError> {
        let Some(rule) = self.table.entry(entry, Rule::default) else {
            return Err(PermitError::Subject(entry.to_vec()));
        };
        match queue {
            Some(queue) if !subject::is_valid(queue) => return Err(PermitError::Queue(queue.to_vec())),
            Some(queue) => rule.queues.push(queue.into()),
            None => rule.plain = true,
        }
        self.subjects.push(entry.into());
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// Does some entry without a queue match?
    #[inline]
    pub fn has(&self, subject: &[u8]) -> bool {
        self.table.visit(subject, |rule| rule.plain)
    }

    /// What the entries say about a subscription or a delivery.
    #[inline]
    pub fn find(&self, subject: &[u8], queue: Option<&[u8]>) -> Found {
        let mut found = Found::default();
        self.table.visit(subject, |rule| {
            found.plain |= rule.plain;
            found.queue_rules |= !rule.queues.is_empty();
            if let Some(queue) = queue {
                found.queue |= rule.queues.iter().any(|pattern| subject::covers(pattern, queue));
            }
            false
        });
        found
    }

    /// Could some entry match a subject that the subscription `pattern` matches too?
    pub fn overlaps(&self, pattern: &[u8]) -> bool {
        self.subjects.iter().any(|entry| subject::overlap(entry, pattern))
    }
}
