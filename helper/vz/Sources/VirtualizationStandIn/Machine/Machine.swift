import Foundation
final class Machine {
  func abandon() {}
  func kill() {}
  func pause() throws {}
  func resume() throws {}
  func save(to: URL) throws {}
  func pressPowerButton() throws {}
}
