import Foundation

/// `manifest.json` beside a guest image: what the app was shipped with.
struct ImageManifest {
    struct File {
        let size: Int
        let digest: String
    }

    let imageVersion: String
    let recipe: String
    let imageDigest: String
    let kernel: File
    let initrd: File
    let rootfs: File
    let tools: [JSON]

    private static let maxBytes = 4 * 1024 * 1024

    /// Nil where there is none; throws `BOOT_CONFIG_INVALID` for one that is damaged.
    static func read(_ path: String) throws -> ImageManifest? {
        let bytes: [UInt8]
        do {
            bytes = try Files.read(path, limit: maxBytes)
        } catch let error as SystemError where error.code == ENOENT || error.code == ENOTDIR {
            return nil
        } catch {
            throw BsmError(.bootConfigInvalid, .helper, "The image's manifest \(path) cannot be read.", next: "Look at the file.",
                details: String(describing: error))
        }
        do {
            return try ImageManifest(try JSON.parse(bytes))
        } catch {
            throw BsmError(.bootConfigInvalid, .helper, "The image's manifest \(path) is damaged.",
                next: "Build the guest image again (npm run guest).", details: String(describing: error))
        }
    }

    init(_ value: JSON) throws {
        var fields = try Fields(value)
        guard try fields.string("schema") == "bsm-image/1" else { throw fields.error("schema", "not bsm-image/1") }
        imageVersion = try fields.string("image_version")
        recipe = try fields.string("recipe")
        guard try fields.string("arch") == "arm64" else { throw fields.error("arch", "not arm64") }
        imageDigest = try fields.digest("image_digest")
        kernel = try ImageManifest.file(&fields, "kernel")
        initrd = try ImageManifest.file(&fields, "initrd")
        rootfs = try ImageManifest.file(&fields, "rootfs")
        _ = try fields.string("cmdline")
        tools = try fields.array("tools")
        for tool in tools {
            var tool = try Fields(tool, at: "tools")
            _ = try tool.string("name", length: 1...Int.max)
            _ = try tool.string("description")
            _ = try tool.object("params_schema")
            try tool.end()
        }
        _ = try fields.array("inputs")
        try fields.end()
    }

    private static func file(_ fields: inout Fields, _ key: String) throws -> File {
        var file = try fields.fields(key)
        _ = try file.string("file", length: 1...255)
        let read = File(size: try file.int("size", 1...Int.safe.upperBound), digest: try file.digest("digest"))
        try file.end()
        return read
    }
}

