use super::*;
use crate::cluster::NodeId;

const NEXT: ReplicaId = ReplicaId(1 << 32 | 3);

fn members(voters: &[ReplicaId], learners: &[ReplicaId]) -> Membership {
    Membership {
        learners: learners.to_vec(),
        ..Membership::of_voters(voters.iter().copied())
    }
}

fn lost(incarnation: u32) -> Incarnations {
    [(NodeId::new(3).expect("a node"), incarnation)]
        .into_iter()
        .collect()
}

#[test]
fn each_step_waits_for_the_one_before() {
    let [one, two, three] = [1, 2, 3].map(ReplicaId);
    let step = |members: &Membership, caught_up| {
        next_step(members, &lost(1), one, |id| {
            assert_eq!(id, NEXT);
            caught_up
        })
    };
    let enter = |steps: &[MemberStep]| Some(MembershipChange::Enter(steps.to_vec()));

    let old = members(&[one, two, three], &[]);
    assert_eq!(
        next_step(&old, &Incarnations::default(), one, |_| true),
        None
    );
    assert_eq!(step(&old, true), enter(&[MemberStep::Learner(NEXT)]));

    let learning = members(&[one, two, three], &[NEXT]);
    assert_eq!(step(&learning, false), None);
    let swap = [MemberStep::Voter(NEXT), MemberStep::Remove(three)];
    assert_eq!(step(&learning, true), enter(&swap));

    let joint = Membership {
        outgoing: vec![one, two, three],
        ..members(&[one, two, NEXT], &[])
    };
    assert_eq!(step(&joint, true), Some(MembershipChange::Leave));
    assert_eq!(taking_part(&joint, |id| id != three), 2);
    assert_eq!(taking_part(&joint, |id| id != NEXT), 2);

    let new = members(&[one, two, NEXT], &[]);
    assert_eq!(step(&new, true), None);
    assert_eq!(taking_part(&new, |id| id != three), 3);
}

#[test]
fn a_learner_that_was_lost_goes_and_a_leader_never_removes_itself() {
    let [one, two, three] = [1, 2, 3].map(ReplicaId);
    let learning = members(&[one, two, three], &[NEXT]);
    let step = next_step(&learning, &lost(2), one, |_| true);
    let remove = |id| Some(MembershipChange::Enter(vec![MemberStep::Remove(id)]));
    assert_eq!(step, remove(NEXT));
    let both = members(&[one, two, three, NEXT], &[]);
    assert_eq!(next_step(&both, &lost(1), one, |_| true), remove(three));
    assert_eq!(next_step(&both, &lost(1), three, |_| true), None);
}
