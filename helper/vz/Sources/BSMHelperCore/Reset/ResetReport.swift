/// That the old VM is gone and the new one is another, made from golden (§4).
struct WipeProof {
    let old: (id: String, exit: String)?
    let newId: String
    let epoch: Int
    let isNonceMatching: Bool
    let dispatches: Int?
    let overlayBytes: Int?

    var json: JSON {
        .record([
            "old": old.map { .record(["id": JSON($0.id), "exit": JSON($0.exit)]) } ?? .null,
            "new": .record(["id": JSON(newId)]), "epoch": JSON(epoch), "nonce_match": JSON(isNonceMatching),
            "dispatches": JSON(orNull: dispatches), "overlay_bytes": JSON(orNull: overlayBytes),
        ])
    }
}

/// What a reset did and found; also kept as the last reset in `status`.
struct ResetReport {
    var details: VerificationDetails
    let at: String
    let goldenHash: String?
    let path: BootPath
    var phases: [ResetPhase]
    var totalMs: Double
    let wipe: WipeProof?
    let failed: [Source]
    let error: BsmError?
    /// The image has no manifest: the disk's baseline was measured before its first boot (§4).
    var isBaselineMeasured = false

    var isPassed: Bool { error == nil }

    var json: JSON {
        details.json.joined(
            .record([
                "reset_at": JSON(at), "golden_hash": JSON(orNull: goldenHash), "verification_passed": JSON(isPassed),
                "reset_path": JSON(path.rawValue), "phases": .array(phases.map(\.json)), "total_ms": JSON(totalMs),
                "wipe": wipe?.json ?? .null, "failed": JSON(failed.map(\.rawValue)), "error": error?.wire,
                "fs_hash_measured": isBaselineMeasured ? JSON(true) : nil,
            ]))
    }
}
