/// The guest answered, and would not: another thing than a guest that is gone.
struct GuestRefusal: Error {
    let error: BsmError

    init(code: String, message: String) {
        error = BsmError(.vmLifecycleError, .guest, "The guest refused: \(message)", next: "Reset to get a new VM.", details: code)
    }
}
