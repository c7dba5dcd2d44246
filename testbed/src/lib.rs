//! Nodes and Pods as network namespaces on one machine, with real traffic.
