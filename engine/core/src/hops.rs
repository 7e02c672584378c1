//! Where a message may go next, by where it came from (reference: wire protocol 8.2, 8.3). Pure tables.
//!
//! What stands in the way of a single connection (the sender itself, a leaf node of the sender's cluster) is not here.

use crate::conn::Kind;

/// How soon a neighbour's members of a queue group are considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Like members here.
    Beside,
    /// When there is nobody here or beside.
    Behind,
    /// When there are no leaf nodes either.
    Last,
    /// When there is nobody in this cluster.
    Far,
}

/// The ranks behind `Rank::Beside`, in their order.
pub(crate) const LATER: [Rank; 3] = [Rank::Behind, Rank::Last, Rank::Far];

/// Whether a message that is not for a queue group may go from one neighbour to another.
#[inline]
pub(crate) fn passes(from: Kind, to: Kind, reply: bool) -> bool {
    match (from, to) {
        (_, Kind::Client | Kind::Internal | Kind::Link) => true,
        (_, Kind::GatewayIn) => false,
        (Kind::Route, Kind::LeafAbove) => reply,
        (Kind::Route | Kind::LeafAbove, Kind::Route) => false,
        (Kind::Route | Kind::GatewayIn | Kind::GatewayOut, Kind::GatewayOut) => false,
        _ => true,
    }
}

/// When a neighbour's members of a queue group are considered; `None` is never.
#[inline]
pub(crate) fn rank(from: Kind, to: Kind, reply: bool) -> Option<Rank> {
    match (from, to) {
        (Kind::Route, Kind::Route) => Some(Rank::Last),
        _ if !passes(from, to, reply) => None,
        (_, Kind::Route) => Some(Rank::Beside),
        (_, Kind::LeafBelow | Kind::LeafAbove) => Some(Rank::Behind),
        (_, Kind::GatewayOut) => Some(Rank::Far),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: [Kind; 5] = [Kind::Client, Kind::Route, Kind::LeafBelow, Kind::LeafAbove, Kind::GatewayIn];

    fn all(to: Kind, reply: bool) -> [bool; 5] {
        FROM.map(|from| passes(from, to, reply))
    }

    #[test]
    fn clients_get_what_comes_from_anywhere() {
        assert_eq!(all(Kind::Client, false), [true; 5]);
    }

    #[test]
    fn one_hop_within_a_cluster() {
        assert_eq!(all(Kind::Route, false), [true, false, true, false, true]);
    }

    #[test]
    fn leaf_nodes_get_everything_from_their_hub() {
        assert_eq!(all(Kind::LeafBelow, false), [true; 5]);
    }

    #[test]
    fn a_hub_gets_nothing_from_the_cluster_but_answers() {
        assert_eq!(all(Kind::LeafAbove, false), [true, false, true, true, true]);
        assert_eq!(all(Kind::LeafAbove, true), [true; 5]);
    }

    #[test]
    fn one_hop_between_clusters() {
        assert_eq!(all(Kind::GatewayOut, false), [true, false, true, true, false]);
        assert_eq!(all(Kind::GatewayIn, false), [false; 5]);
    }

    #[test]
    fn members_of_a_group_are_looked_for_near_first() {
        assert_eq!(FROM.map(|from| rank(from, Kind::Route, false)), {
            use Rank::{Beside, Last};
            [Some(Beside), Some(Last), Some(Beside), None, Some(Beside)]
        });
        assert_eq!(rank(Kind::Client, Kind::LeafBelow, false), Some(Rank::Behind));
        assert_eq!(rank(Kind::Client, Kind::GatewayOut, false), Some(Rank::Far));
        assert_eq!(rank(Kind::GatewayIn, Kind::GatewayOut, false), None);
    }
}
