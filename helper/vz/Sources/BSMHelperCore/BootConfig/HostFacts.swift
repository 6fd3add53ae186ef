/// Facts of the host, apart, so that tests can have another one.
struct HostFacts {
    let maxCpus: Int
    let availableMemoryMib: Int
}
