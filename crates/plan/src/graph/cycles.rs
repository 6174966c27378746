//! Services that need each other.
//!
//! Tarjan's strongly connected components with a stack of our own, so that a chain of any length
//! cannot exhaust the thread's. Each knot is reported once, by its shortest cycle.

use std::collections::{HashMap, VecDeque};

use super::{Edges, Graph, ServiceId};

/// Services that need each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// The way round: each needs the next one, the last needs the first.
    pub services: Vec<ServiceId>,
    /// How many services are tied together, if there are more than on this way round.
    pub knot: usize,
}

const UNSEEN: u32 = u32::MAX;

struct Search<'e> {
    edges: &'e Edges,
    order: Vec<u32>,
    low: Vec<u32>,
    on_stack: Vec<bool>,
    stack: Vec<ServiceId>,
    next: u32,
    found: Vec<Vec<ServiceId>>,
}

/// Strongly connected components; what is needed comes before what needs it.
pub(super) fn components(edges: &Edges, count: usize) -> Vec<Vec<ServiceId>> {
    let mut search = Search {
        edges,
        order: vec![UNSEEN; count],
        low: vec![0; count],
        on_stack: vec![false; count],
        stack: Vec::new(),
        next: 0,
        found: Vec::new(),
    };
    for root in (0..count).map(ServiceId::new) {
        if search.order[root.index()] == UNSEEN {
            search.from(root);
        }
    }
    search.found
}

impl Search<'_> {
    fn from(&mut self, root: ServiceId) {
        let mut path = vec![(root, 0)];
        self.enter(root);
        while let Some((at, edge)) = path.last_mut() {
            let at = *at;
            if let Some(&to) = self.edges.of(at).get(*edge) {
                *edge += 1;
                if self.order[to.index()] == UNSEEN {
                    self.enter(to);
                    path.push((to, 0));
                } else if self.on_stack[to.index()] {
                    self.low[at.index()] = self.low[at.index()].min(self.order[to.index()]);
                }
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                self.low[parent.index()] = self.low[parent.index()].min(self.low[at.index()]);
            }
            if self.low[at.index()] == self.order[at.index()] {
                self.close(at);
            }
        }
    }

    fn enter(&mut self, at: ServiceId) {
        self.order[at.index()] = self.next;
        self.low[at.index()] = self.next;
        self.next += 1;
        self.stack.push(at);
        self.on_stack[at.index()] = true;
    }

    fn close(&mut self, root: ServiceId) {
        let mut members = Vec::new();
        while let Some(member) = self.stack.pop() {
            self.on_stack[member.index()] = false;
            members.push(member);
            if member == root {
                break;
            }
        }
        self.found.push(members);
    }
}

/// One cycle for each knot: the shortest through its first name.
pub(super) fn find(graph: &Graph<'_>) -> Vec<Cycle> {
    let mut found: Vec<Cycle> = Vec::new();
    for members in graph.components() {
        if graph.in_cycle(members[0]) {
            found.push(Cycle { services: shortest(graph, members), knot: members.len() });
        }
    }
    found.sort_by_key(|cycle| cycle.services.first().map(|id| graph.name(*id)));
    found
}

/// The shortest way from the member with the first name back to itself; of two the one by names.
fn shortest(graph: &Graph<'_>, members: &[ServiceId]) -> Vec<ServiceId> {
    let Some(start) = members.iter().copied().min_by_key(|id| graph.name(*id)) else {
        return Vec::new();
    };
    let inside: HashMap<ServiceId, ()> = members.iter().map(|id| (*id, ())).collect();
    let mut came: HashMap<ServiceId, ServiceId> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        let mut next: Vec<ServiceId> = graph.needs(at).to_vec();
        next.sort_by_key(|id| graph.name(*id));
        for to in next {
            if to == start {
                return back(&came, start, at);
            }
            if inside.contains_key(&to) && !came.contains_key(&to) {
                came.insert(to, at);
                queue.push_back(to);
            }
        }
    }
    vec![start]
}

fn back(came: &HashMap<ServiceId, ServiceId>, start: ServiceId, last: ServiceId) -> Vec<ServiceId> {
    let mut way = vec![last];
    let mut at = last;
    while at != start {
        let Some(before) = came.get(&at) else { break };
        way.push(*before);
        at = *before;
    }
    way.reverse();
    way
}
