import Foundation
import Dispatch
print("hello", ProcessInfo.processInfo.operatingSystemVersionString, CommandLine.arguments, try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
