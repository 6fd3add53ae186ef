/// What a line of a client turned out to be (§2).
enum ParsedLine {
    case request(HelperRequest)
    /// `requestId` where one could be read: then it also gets an error response.
    case refused(BsmError, requestId: String?)

    init(_ line: Line) {
        switch line {
        case .tooLong: self = ParsedLine.refusal("A line is longer than \(Limits.ndjsonLineBytes) bytes.")
        case .line(let bytes):
            let value: JSON
            do { value = try JSON.parse(bytes) } catch {
                self = ParsedLine.refusal("A line is not JSON.", details: String(describing: error))
                return
            }
            do { self = .request(try HelperRequest(value)) } catch {
                let id = value["request_id"]?.text.flatMap { isUUID($0) ? $0 : nil }
                self = ParsedLine.refusal("Not a request: \(error).", requestId: id)
            }
        }
    }

    private static func refusal(_ message: String, requestId: String? = nil, details: String? = nil) -> ParsedLine {
        .refused(
            BsmError(.badRequest, .agent, message, next: "Send one JSON object a line, as the wire protocol has it (§2).", details: details),
            requestId: requestId)
    }
}
