//! Who is behind an address at a time: from the Kubernetes API or an inventory file.
