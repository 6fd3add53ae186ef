import Foundation

/// The guest image of the checkout (`npm run guest`), or the one in `BSM_TEST_IMAGE`.
struct GuestImage {
  let kernel: URL
  let initrd: URL
  let rootfs: URL

  static func built() throws -> GuestImage {
    let folder: URL
    if let named = ProcessInfo.processInfo.environment["BSM_TEST_IMAGE"] {
      folder = URL(fileURLWithPath: named)
    } else {
      // Sources lie in helper/vz/Tests/VirtualizationStandInTests of the checkout.
      let checkout = (0..<5).reduce(URL(fileURLWithPath: #filePath)) { url, _ in url.deletingLastPathComponent() }
      folder = checkout.appendingPathComponent("out/guest/base")
    }
    let image = GuestImage(
      kernel: folder.appendingPathComponent("Image"), initrd: folder.appendingPathComponent("initrd.img"),
      rootfs: folder.appendingPathComponent("rootfs.img"))
    guard FileManager.default.isReadableFile(atPath: image.kernel.path) else { throw Missing(path: image.kernel.path) }
    return image
  }

  struct Missing: Error, CustomStringConvertible {
    let path: String
    var description: String { "There is no guest image (\(path)): run “npm run guest”." }
  }
}
