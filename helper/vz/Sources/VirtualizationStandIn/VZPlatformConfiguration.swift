import Foundation

open class VZPlatformConfiguration: NSObject {
  override init() { super.init() }
}

public final class VZGenericPlatformConfiguration: VZPlatformConfiguration {
  /// A new random one for each object unless it is set: a saved state asks for the one that it was saved with.
  public var machineIdentifier = VZGenericMachineIdentifier()

  public override init() { super.init() }
}

public final class VZGenericMachineIdentifier: NSObject {
  public let dataRepresentation: Data

  public override init() {
    dataRepresentation = Self.encode(UUID())
    super.init()
  }

  /// Nil when the bytes are not those of an identifier.
  public init?(dataRepresentation: Data) {
    guard
      let list = try? PropertyListSerialization.propertyList(from: dataRepresentation, format: nil) as? [String: Any],
      let bytes = list[Self.key] as? Data, bytes.count == Self.length
    else { return nil }
    self.dataRepresentation = dataRepresentation
    super.init()
  }

  public override func isEqual(_ object: Any?) -> Bool {
    (object as? VZGenericMachineIdentifier)?.dataRepresentation == dataRepresentation
  }

  public override var hash: Int { dataRepresentation.hashValue }

  private static let key = "UUID"
  private static let length = 16

  private static func encode(_ uuid: UUID) -> Data {
    let bytes = withUnsafeBytes(of: uuid.uuid) { Data($0) }
    do {
      return try PropertyListSerialization.data(fromPropertyList: [key: bytes], format: .binary, options: 0)
    } catch {
      preconditionFailure("a property list of sixteen bytes cannot fail: \(error)")
    }
  }
}
