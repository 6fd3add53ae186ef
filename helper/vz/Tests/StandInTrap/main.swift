import Foundation
import Virtualization

// Calls one thing off the machine's queue, which must not return. The tests run it and look at how it ended.

let configuration = VZVirtualMachineConfiguration()
configuration.bootLoader = VZLinuxBootLoader(kernelURL: URL(fileURLWithPath: "/proc/self/exe"))
configuration.socketDevices = [VZVirtioSocketDeviceConfiguration()]
let queue = DispatchQueue(label: "machine")
let machine = VZVirtualMachine(configuration: configuration, queue: queue)
let state = URL(fileURLWithPath: "/nonexistent")

switch CommandLine.arguments.dropFirst().first {
case "nothing": break
case "state": _ = machine.state
case "start": machine.start { _ in }
case "pause": machine.pause { _ in }
case "resume": machine.resume { _ in }
case "stop": machine.stop { _ in }
case "requestStop": try? machine.requestStop()
case "save": machine.saveMachineStateTo(url: state) { _ in }
case "restore": machine.restoreMachineStateFrom(url: state) { _ in }
case "delegate": machine.delegate = nil
case "connect":
  let device = queue.sync { machine.socketDevices.first as? VZVirtioSocketDevice }
  device?.connect(toPort: 1024) { _ in }
default: exit(2)
}
