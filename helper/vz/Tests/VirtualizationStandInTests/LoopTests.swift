import Foundation
import XCTest

@testable import Virtualization

/// Foundation has another.
private typealias GuestPort = Virtualization.Port

/// What a machine has on its loop goes in one round, in no order: no stream may call an owner that went before it.
final class LoopTests: XCTestCase {
  /// A loop with a port, and the other ends of both descriptors. `quit` ends the port as a machine's end does.
  fileprivate final class Bench {
    let loop: Loop
    let guest: Descriptor
    let quit: Descriptor
    fileprivate var port: GuestPort?

    init(_ finish: @escaping (Loop, GuestPort) -> Void) throws {
      loop = try Loop(name: "test")
      let (guestEnd, guest) = try Descriptor.pair()
      let (quitEnd, quit) = try Descriptor.pair()
      self.guest = guest
      self.quit = quit
      loop.post { [self] in
        let port = GuestPort(guestEnd, on: loop)
        port.isOpen = true
        self.port = port
        let stream = Stream(quitEnd)
        stream.ended = { [self] in
          if let port = self.port { finish(loop, port) }
          self.port = nil
          loop.end()
        }
        loop.add(stream)
      }
    }

    /// Does `work` while the loop stands still, so that all of it is found in one round.
    func inOneRound(_ work: () -> Void) {
      let (stands, goes) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
      loop.post {
        stands.signal()
        goes.wait()
      }
      stands.wait()
      work()
      goes.signal()
    }

    func waitForEnd() {
      let end = Date(timeIntervalSinceNow: 20)
      while loop.post({}), Date() < end { usleep(200) }
      XCTAssertFalse(loop.post({}), "the loop has not ended")
    }
  }

  private func hangUp(_ descriptor: Descriptor) { shutdown(descriptor.number, Int32(SHUT_RDWR)) }

  func testNothingCallsAPortThatWentInTheSameRound() throws {
    // Sixty-four times: the order within a round is a hash table's.
    for _ in 0..<64 {
      let bench = try Bench { _, _ in }
      bench.inOneRound {
        _ = send(bench.guest.number, BridgeRecord.header(1, .close), BridgeRecord.headerBytes, 0)
        hangUp(bench.guest)
        hangUp(bench.quit)
      }
      bench.waitForEnd()
    }
  }

  func testADialIsRefusedWhenItsMachineEndsInTheSameRound() throws {
    for _ in 0..<16 {
      let bench = try Bench { _, port in port.close() }
      let answer = Promise<Bool>()
      bench.dial { answer.fulfil((try? $0.get()) == nil) }
      bench.inOneRound {
        hangUp(bench.guest)
        hangUp(bench.quit)
      }
      XCTAssertEqual(answer.wait(20), true)
      bench.waitForEnd()
    }
  }

  func testWhatWasNotReadYetGoesWithThePort() throws {
    let bench = try Bench { _, port in port.close() }
    let connected = Promise<Descriptor>()
    bench.dial { if let descriptor = try? $0.get() { connected.fulfil(descriptor) } }
    var open = [UInt8](repeating: 0, count: BridgeRecord.headerBytes)
    XCTAssertEqual(recv(bench.guest.number, &open, open.count, Int32(MSG_WAITALL)), open.count)
    _ = send(bench.guest.number, open, open.count, 0)
    let descriptor = try XCTUnwrap(connected.wait(20))
    // More than the socket takes, then the guest's close, then the machine's end: the link lingers until that.
    let piece = [UInt8](repeating: 7, count: BridgeRecord.longestData)
    for _ in 0..<16 { put(Array(open[..<4]) + [2] + [0, 1, 0, 0] + piece, to: bench.guest) }
    put(Array(open[..<4]) + [3, 0, 0, 0, 0], to: bench.guest)
    bench.inOneRound { hangUp(bench.quit) }
    bench.waitForEnd()
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    var count = 1
    while count > 0 { count = withExtendedLifetime(descriptor) { read(descriptor.number, &buffer, buffer.count) } }
    XCTAssertEqual(count, 0, "the reader sees the end")
  }

  private func put(_ bytes: [UInt8], to descriptor: Descriptor) {
    var at = 0
    while at < bytes.count {
      let n = bytes.withUnsafeBytes { send(descriptor.number, $0.baseAddress?.advanced(by: at), bytes.count - at, Int32(MSG_NOSIGNAL)) }
      guard n > 0 else { return }
      at += n
    }
  }
}

extension LoopTests.Bench {
  fileprivate func dial(_ done: @escaping GuestPort.Dialled) { loop.post { [self] in port?.dial(done) } }
}
