import Foundation

/// Signals that end the helper, as one callback; broken pipes are told by the write that meets them.
final class Signals {
    private var sources: [DispatchSourceSignal] = []

    init(_ ended: @escaping () -> Void) {
        signal(SIGPIPE, SIG_IGN)
        for number in [SIGTERM, SIGINT, SIGHUP] {
            // Ignored first: the source only watches, it does not take the signal's effect away.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler(handler: ended)
            source.resume()
            sources.append(source)
        }
    }
}
