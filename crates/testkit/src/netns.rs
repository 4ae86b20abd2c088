//! Networks made of network namespaces and veth pairs, for tests that need routers and loss.
