import Foundation
import FoundationXML

/// An element of an XML document with its text and children; attributes and namespaces are left out.
struct XMLTree: Equatable {
  var name: String
  var text = ""
  var children: [XMLTree] = []

  /// The first child of that name.
  func child(_ name: String) -> XMLTree? { children.first { $0.name == name } }

  func text(of name: String) -> String? { child(name)?.text }

  /// nil if the bytes are not one well-formed document of a sensible depth.
  init?(parsing bytes: some Sequence<UInt8>) {
    let builder = Builder()
    let parser = XMLParser(data: Data(bytes))
    parser.delegate = builder
    guard parser.parse(), let root = builder.root else { return nil }
    self = root
  }

  private init(name: String) { self.name = name }

  private final class Builder: NSObject, XMLParserDelegate {
    private static let maximumDepth = 16

    private(set) var root: XMLTree?
    private var open: [XMLTree] = []

    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
      attributes: [String: String]
    ) {
      if open.count == Self.maximumDepth { return parser.abortParsing() }
      open.append(XMLTree(name: name))
    }

    func parser(_ parser: XMLParser, foundCharacters text: String) {
      if !open.isEmpty { open[open.count - 1].text += text }
    }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
      guard let closed = open.popLast() else { return }
      if open.isEmpty { root = closed } else { open[open.count - 1].children.append(closed) }
    }
  }
}
