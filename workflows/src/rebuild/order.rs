//! Parents before children, and who stands on himself.

/// The nodes `0..count` in groups, each group after all groups that its members point to.
///
/// A group of more than one is a knot: each member can be reached from every other. This is
/// Tarjan's algorithm with a stack of its own, because a chain of a hundred thousand images must
/// not take a hundred thousand frames of ours. Time and space grow with nodes and edges.
pub(super) fn groups<E>(count: usize, mut targets: impl FnMut(usize) -> E) -> Vec<Vec<usize>>
where
    E: Iterator<Item = usize>,
{
    const UNSEEN: usize = usize::MAX;
    let mut number = vec![UNSEEN; count];
    let mut lowest = vec![UNSEEN; count];
    let mut open = vec![false; count];
    let mut stack: Vec<usize> = Vec::new();
    let mut groups = Vec::new();
    let mut seen = 0;
    for root in 0..count {
        if number[root] != UNSEEN {
            continue;
        }
        let mut path: Vec<(usize, E)> = Vec::new();
        let mut next = Some(root);
        loop {
            if let Some(node) = next.take() {
                (number[node], lowest[node], open[node]) = (seen, seen, true);
                seen += 1;
                stack.push(node);
                path.push((node, targets(node)));
            }
            let Some((node, edges)) = path.last_mut() else { break };
            let node = *node;
            match edges.next() {
                Some(target) if number[target] == UNSEEN => next = Some(target),
                Some(target) => {
                    if open[target] {
                        lowest[node] = lowest[node].min(number[target]);
                    }
                }
                None => {
                    path.pop();
                    if let Some((above, _)) = path.last() {
                        lowest[*above] = lowest[*above].min(lowest[node]);
                    }
                    if lowest[node] == number[node] {
                        groups.push(closed(&mut stack, &mut open, node));
                    }
                }
            }
        }
    }
    groups
}

/// Takes a finished group from the stack, in the order of the nodes.
fn closed(stack: &mut Vec<usize>, open: &mut [bool], first: usize) -> Vec<usize> {
    let from = stack.iter().rposition(|&node| node == first).unwrap_or(0);
    let mut group = stack.split_off(from);
    for &node in &group {
        open[node] = false;
    }
    group.sort_unstable();
    group
}

/// A way through a group that comes back to where it began, that node at both ends; `None` when
/// the group is one node that does not point to itself.
pub(super) fn circle<E>(group: &[usize], mut targets: impl FnMut(usize) -> E) -> Option<Vec<usize>>
where
    E: Iterator<Item = usize>,
{
    let within = |target: &usize| group.binary_search(target).is_ok();
    // Each member of a knot points to another member, so that the walk meets itself.
    let mut met = vec![None; group.len()];
    let mut walk: Vec<usize> = Vec::new();
    let mut node = *group.first()?;
    loop {
        let place = group.binary_search(&node).ok()?;
        if let Some(start) = met[place] {
            let mut circle = walk.split_off(start);
            circle.push(node);
            return Some(circle);
        }
        met[place] = Some(walk.len());
        walk.push(node);
        node = targets(node).find(within)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(edges: &[(usize, usize)]) -> impl Fn(usize) -> std::vec::IntoIter<usize> {
        move |node| {
            let targets = edges.iter().filter(|(from, _)| *from == node).map(|(_, to)| *to);
            targets.collect::<Vec<_>>().into_iter()
        }
    }

    #[test]
    fn parents_come_first_and_knots_together() {
        let edges = [(0, 1), (1, 2), (2, 1), (3, 0), (3, 4)];
        assert_eq!(groups(5, of(&edges)), [vec![1, 2], vec![0], vec![4], vec![3]]);
        assert_eq!(circle(&[1, 2], of(&edges)), Some(vec![1, 2, 1]));
        assert_eq!(circle(&[0], of(&edges)), None);
        assert_eq!(circle(&[7], of(&[(7, 7)])), Some(vec![7, 7]));
    }

    #[test]
    fn a_long_chain_takes_no_frames() {
        let last = 200_000;
        let groups = groups(last + 1, |node| (node < last).then_some(node + 1).into_iter());
        assert_eq!(groups.len(), last + 1);
        assert_eq!(groups[0], [last]);
    }
}
