#include "CSimdJSON.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>
#include <vector>

namespace dom = simdjson::dom;

struct fsj_parser {
  dom::parser parser;
  dom::document document;
  std::vector<uint8_t> input;
  std::vector<fsj_node> nodes;
  size_t max_bytes;
  size_t max_depth;

  fsj_parser(size_t bytes, size_t depth) : parser(bytes), max_bytes(bytes), max_depth(depth) {}
};

namespace {

// Appends the value and all that is in it. Recursion is bounded by the parser's maximal depth.
uint32_t append(std::vector<fsj_node> &nodes, const dom::element &element, const char *name, uint32_t name_count) {
  const uint32_t index = static_cast<uint32_t>(nodes.size());
  fsj_node node{};
  node.name = name;
  node.name_count = name_count;
  node.next = index + 1;
  switch (element.type()) {
    case dom::element_type::NULL_VALUE: node.kind = FSJ_NULL; break;
    case dom::element_type::BOOL:
      node.kind = FSJ_BOOL;
      node.bits = bool(element.get_bool().value_unsafe()) ? 1 : 0;
      break;
    case dom::element_type::INT64:
      node.kind = FSJ_INT64;
      node.bits = static_cast<uint64_t>(element.get_int64().value_unsafe());
      break;
    case dom::element_type::UINT64:
      node.kind = FSJ_UINT64;
      node.bits = element.get_uint64().value_unsafe();
      break;
    case dom::element_type::DOUBLE: {
      const double value = element.get_double().value_unsafe();
      std::memcpy(&node.bits, &value, sizeof value);
      node.kind = FSJ_DOUBLE;
      break;
    }
    case dom::element_type::STRING: {
      const std::string_view text = element.get_string().value_unsafe();
      node.kind = FSJ_STRING;
      node.text = text.data();
      node.count = static_cast<uint32_t>(text.size());
      break;
    }
    case dom::element_type::ARRAY: {
      node.kind = FSJ_ARRAY;
      nodes.push_back(node);
      uint32_t count = 0;
      const dom::array array = element.get_array().value_unsafe();
      for (const dom::element child : array) {
        append(nodes, child, nullptr, 0);
        ++count;
      }
      nodes[index].count = count;
      nodes[index].next = static_cast<uint32_t>(nodes.size());
      return index;
    }
    case dom::element_type::OBJECT: {
      node.kind = FSJ_OBJECT;
      nodes.push_back(node);
      uint32_t count = 0;
      const dom::object object = element.get_object().value_unsafe();
      for (const auto field : object) {
        append(nodes, field.value, field.key.data(), static_cast<uint32_t>(field.key.size()));
        ++count;
      }
      nodes[index].count = count;
      nodes[index].next = static_cast<uint32_t>(nodes.size());
      return index;
    }
  }
  nodes.push_back(node);
  return index;
}

int32_t code_of(simdjson::error_code error) {
  switch (error) {
    case simdjson::CAPACITY: return FSJ_ERROR_TOO_LARGE;
    case simdjson::DEPTH_ERROR: return FSJ_ERROR_TOO_DEEP;
    case simdjson::MEMALLOC: return FSJ_ERROR_MEMORY;
    case simdjson::NUMBER_ERROR: return FSJ_ERROR_NUMBER;
    case simdjson::UTF8_ERROR: return FSJ_ERROR_UTF8;
    default: return FSJ_ERROR_MALFORMED;
  }
}

fsj_result failed(int32_t error, const char *message) { return fsj_result{nullptr, 0, error, message}; }

}  // namespace

extern "C" fsj_parser *fsj_parser_create(size_t max_bytes, size_t max_depth) {
  try {
    return new fsj_parser(std::max<size_t>(max_bytes, 64), std::max<size_t>(max_depth, 1));
  } catch (...) {
    return nullptr;
  }
}

extern "C" void fsj_parser_destroy(fsj_parser *parser) { delete parser; }

extern "C" fsj_result fsj_parse(fsj_parser *parser, const uint8_t *bytes, size_t count) {
  try {
    if (count > parser->max_bytes) {
      return failed(FSJ_ERROR_TOO_LARGE, "the document is larger than allowed");
    }
    if (parser->input.size() < count + simdjson::SIMDJSON_PADDING) {
      parser->input.resize(2 * count + simdjson::SIMDJSON_PADDING);
    }
    if (parser->document.capacity() < count || parser->document.capacity() == 0) {
      // Twice what is needed, so that slightly larger documents do not allocate again.
      const size_t capacity = std::min(parser->max_bytes, 2 * count + 1024);
      auto error = parser->parser.allocate(capacity, parser->max_depth);
      if (!error) { error = parser->document.allocate(capacity); }
      if (error) { return failed(code_of(error), simdjson::error_message(error)); }
    }
    if (count > 0) { std::memcpy(parser->input.data(), bytes, count); }
    std::memset(parser->input.data() + count, 0, simdjson::SIMDJSON_PADDING);
    dom::element root;
    const auto error = parser->parser.parse_into_document(parser->document, parser->input.data(), count, false).get(root);
    if (error) { return failed(code_of(error), simdjson::error_message(error)); }
    parser->nodes.clear();
    append(parser->nodes, root, nullptr, 0);
    return fsj_result{parser->nodes.data(), static_cast<uint32_t>(parser->nodes.size()), 0, nullptr};
  } catch (...) {
    return failed(FSJ_ERROR_MEMORY, "no memory");
  }
}
