import BSMHelperCore
import Foundation

exit(BSMHelper.run(Array(CommandLine.arguments.dropFirst())))
