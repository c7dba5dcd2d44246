//! Which Pod held an address, and when: lives in order of their start, the ended ones kept for a while.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::object::Pod;

/// How long an ended Pod still answers for flows of its time.
pub(crate) const KEPT_AFTER_END_MS: i64 = 3_600_000;
/// How many ended Pods are kept: an hour of a cluster that starts 28 Pods a second; about 30 MB.
pub(crate) const MAX_ENDED: usize = 100_000;

/// Pods by address and by name.
#[derive(Debug, Default)]
pub(crate) struct Tenures {
    by_address: HashMap<IpAddr, Lives>,
    living: HashMap<(Arc<str>, Arc<str>), Arc<Pod>>,
    ended: VecDeque<Arc<Pod>>,
}

/// The Pods that held an address, by the start of their lives. Most addresses have one, which needs no list.
#[derive(Debug)]
enum Lives {
    One(Arc<Pod>),
    Many(Vec<Arc<Pod>>),
}

impl Lives {
    fn all(&self) -> &[Arc<Pod>] {
        match self {
            Self::One(pod) => std::slice::from_ref(pod),
            Self::Many(pods) => pods,
        }
    }

    fn add(&mut self, pod: &Arc<Pod>) {
        let mut pods = self.all().to_vec();
        let at = pods.partition_point(|other| other.started_ms <= pod.started_ms);
        pods.insert(at, Arc::clone(pod));
        *self = Self::Many(pods);
    }

    /// Without that Pod; `None` when nobody is left.
    fn without(&self, pod: &Arc<Pod>) -> Option<Self> {
        let left: Vec<_> = self.all().iter().filter(|other| !Arc::ptr_eq(other, pod)).cloned().collect();
        match left.as_slice() {
            [] => None,
            [one] => Some(Self::One(Arc::clone(one))),
            _ => Some(Self::Many(left)),
        }
    }
}

impl Tenures {
    /// A Pod is as given now; one of the same name before is replaced (same life) or ended (another life).
    pub(crate) fn apply(&mut self, pod: Pod, now_ms: i64) {
        let key = (Arc::clone(&pod.namespace), Arc::clone(&pod.name));
        if let Some(before) = self.living.remove(&key) {
            self.forget(&before);
            if before.started_ms != pod.started_ms {
                self.keep_ended(&before, now_ms);
            }
        }
        let pod = Arc::new(pod);
        if pod.ended_ms.is_some() {
            self.insert(&pod);
            self.ended.push_back(pod);
        } else {
            self.insert(&pod);
            self.living.insert(key, pod);
        }
        self.expire(now_ms);
    }

    /// A Pod was deleted.
    pub(crate) fn delete(&mut self, namespace: &str, name: &str, now_ms: i64) {
        if let Some(pod) = self.living.remove(&(Arc::from(namespace), Arc::from(name))) {
            self.forget(&pod);
            self.keep_ended(&pod, now_ms);
        }
        self.expire(now_ms);
    }

    /// The names of the Pods that live.
    pub(crate) fn living(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.living.values()
    }

    /// Whether a Pod lives exactly as given.
    pub(crate) fn lives_as(&self, pod: &Pod) -> bool {
        let key = (Arc::clone(&pod.namespace), Arc::clone(&pod.name));
        self.living.get(&key).is_some_and(|known| **known == *pod)
    }

    /// The Pod whose life contains `start_ms`, else the one whose life contains `end_ms`; and the starts of flows for
    /// which the answer would be the same, `None` where it is this flow's alone.
    pub(crate) fn owner(
        &self,
        address: IpAddr,
        start_ms: i64,
        end_ms: i64,
    ) -> Option<(&Arc<Pod>, Option<RangeInclusive<i64>>)> {
        let lives = self.by_address.get(&address)?.all();
        let at = |time: i64| lives.iter().rposition(|pod| contains(pod, time));
        let Some(place) = at(start_ms) else {
            return Some((lives.get(at(end_ms)?)?, None));
        };
        let pod = lives.get(place)?;
        // A later Pod answers from its own start on, and where one began before this flow did, nobody can say more.
        let next = lives.get(place + 1).map(|next| next.started_ms.saturating_sub(1 + WITHIN_SECOND));
        let last = pod.ended_ms.unwrap_or(i64::MAX).min(next.unwrap_or(i64::MAX));
        Some((pod, Some(pod.started_ms.saturating_sub(WITHIN_SECOND)..=last)))
    }

    /// Whether any Pod that is remembered holds or held the address.
    pub(crate) fn knows(&self, address: IpAddr) -> bool {
        self.by_address.contains_key(&address)
    }

    fn insert(&mut self, pod: &Arc<Pod>) {
        for address in &pod.ips {
            match self.by_address.get_mut(address) {
                Some(lives) => lives.add(pod),
                None => {
                    self.by_address.insert(*address, Lives::One(Arc::clone(pod)));
                }
            }
        }
    }

    fn forget(&mut self, pod: &Arc<Pod>) {
        for address in &pod.ips {
            let Some(lives) = self.by_address.get_mut(address) else { continue };
            match lives.without(pod) {
                Some(left) => *lives = left,
                None => {
                    self.by_address.remove(address);
                }
            }
        }
    }

    fn keep_ended(&mut self, pod: &Arc<Pod>, now_ms: i64) {
        let ended = Arc::new(Pod { ended_ms: pod.ended_ms.or(Some(now_ms)), ..Pod::clone(pod) });
        self.insert(&ended);
        self.ended.push_back(ended);
    }

    fn expire(&mut self, now_ms: i64) {
        let too_old = |pod: &Arc<Pod>| pod.ended_ms.unwrap_or_default() + KEPT_AFTER_END_MS < now_ms;
        while self.ended.len() > MAX_ENDED || self.ended.front().is_some_and(too_old) {
            if let Some(pod) = self.ended.pop_front() {
                self.forget(&pod);
            }
        }
    }
}

fn contains(pod: &Pod, time: i64) -> bool {
    pod.started_ms <= time.saturating_add(WITHIN_SECOND) && pod.ended_ms.is_none_or(|end| time <= end)
}

/// startTime has whole seconds: the first packets may come within the second it names.
const WITHIN_SECOND: i64 = 999;

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, address: &str, started_ms: i64) -> Pod {
        Pod {
            namespace: "shop".into(),
            name: name.into(),
            node: "a".into(),
            ips: vec![address.parse().unwrap()],
            started_ms,
            ended_ms: None,
            probes: Vec::new(),
        }
    }

    fn owner(tenures: &Tenures, address: &str, start: i64, end: i64) -> Option<String> {
        tenures.owner(address.parse().unwrap(), start, end).map(|(pod, _)| pod.name.to_string())
    }

    #[test]
    fn an_address_that_changes_hands_is_named_by_time() {
        let mut tenures = Tenures::default();
        tenures.apply(pod("first", "10.0.0.5", 10_000), 10_000);
        tenures.delete("shop", "first", 20_000);
        tenures.apply(pod("second", "10.0.0.5", 30_000), 30_000);
        assert_eq!(owner(&tenures, "10.0.0.5", 15_000, 40_000).as_deref(), Some("first"));
        assert_eq!(owner(&tenures, "10.0.0.5", 35_000, 40_000).as_deref(), Some("second"));
        assert_eq!(owner(&tenures, "10.0.0.5", 25_000, 40_000).as_deref(), Some("second"), "flowEnd decides");
        assert_eq!(owner(&tenures, "10.0.0.5", 22_000, 25_000), None);
        assert_eq!(owner(&tenures, "10.0.0.6", 15_000, 15_000), None);
    }

    #[test]
    fn the_span_of_an_answer_holds_no_other_answer() {
        let mut tenures = Tenures::default();
        let address = "10.0.0.5".parse().unwrap();
        for (name, start, end) in
            [("a", 10_000, 20_000), ("b", 15_000, 16_000), ("c", 30_000, 40_000), ("d", 50_000, 0)]
        {
            tenures.apply(pod(name, "10.0.0.5", start), start);
            if end > 0 {
                tenures.delete("shop", name, end);
            }
        }
        let mut widest = 0;
        for start in (0..60_000).step_by(250) {
            let Some((pod, Some(span))) = tenures.owner(address, start, 0) else { continue };
            for other in span.clone().step_by(250).take_while(|other| *other < 60_000) {
                assert_eq!(tenures.owner(address, other, 0).unwrap().0, pod, "{start} and {other}");
            }
            widest = widest.max(span.end().saturating_sub(*span.start()).min(10_000));
        }
        assert_eq!(widest, 10_000, "the living Pod's");
    }

    #[test]
    fn the_ended_are_forgotten_after_an_hour() {
        let mut tenures = Tenures::default();
        tenures.apply(pod("first", "10.0.0.5", 0), 0);
        tenures.delete("shop", "first", 1_000);
        tenures.apply(pod("other", "10.0.0.9", 0), KEPT_AFTER_END_MS);
        assert!(tenures.knows("10.0.0.5".parse().unwrap()));
        tenures.apply(pod("other", "10.0.0.9", 0), KEPT_AFTER_END_MS + 1_001);
        assert!(!tenures.knows("10.0.0.5".parse().unwrap()));
    }

    #[test]
    fn at_the_bound_the_oldest_ended_pod_goes() {
        let mut tenures = Tenures::default();
        for n in 0..=MAX_ENDED {
            let name = n.to_string();
            tenures.apply(pod(&name, &format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255), 0), 0);
            tenures.delete("shop", &name, 1);
        }
        assert_eq!(tenures.ended.len(), MAX_ENDED);
        assert!(!tenures.knows("10.0.0.0".parse().unwrap()));
        assert!(tenures.knows("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_pod_that_is_applied_again_moves_to_its_new_addresses() {
        let mut tenures = Tenures::default();
        tenures.apply(pod("a", "10.0.0.5", 5), 5);
        tenures.apply(pod("a", "10.0.0.6", 5), 6);
        assert_eq!(owner(&tenures, "10.0.0.5", 10, 10), None);
        assert_eq!(owner(&tenures, "10.0.0.6", 10, 10).as_deref(), Some("a"));
    }
}
