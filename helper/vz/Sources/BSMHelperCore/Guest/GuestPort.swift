/// The four guest ports and what they carry (§3).
enum GuestPort: UInt32, CaseIterable {
    case dispatch = 1024
    case evidence = 1025
    case query = 1026
    case control = 1027

    var frameLimit: Int { rawValue >= 1026 ? Limits.controlFrameBytes : Limits.frameBytes }
}
