// A C face for simdjson: one call parses a document into a flat array of nodes.
#ifndef FRESHET_CSIMDJSON_H
#define FRESHET_CSIMDJSON_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  FSJ_NULL = 0,
  FSJ_BOOL = 1,
  FSJ_INT64 = 2,   // bits is an int64_t
  FSJ_UINT64 = 3,  // bits is a uint64_t above INT64_MAX
  FSJ_DOUBLE = 4,  // bits is a double
  FSJ_STRING = 5,  // text, count bytes of UTF-8, unescaped
  FSJ_ARRAY = 6,   // count children
  FSJ_OBJECT = 7,  // count children, each with a name
};

// One value, in document order: a container is followed by its children.
typedef struct {
  const char *name;  // NULL unless the parent is an object
  const char *text;  // NULL unless the value is a string
  uint64_t bits;
  uint32_t name_count;
  uint32_t count;
  uint32_t next;  // index of the node after this one and all that is in it
  uint32_t kind;
} fsj_node;

typedef struct {
  const fsj_node *nodes;  // valid until the parser's next call; NULL on error
  uint32_t node_count;
  int32_t error;          // 0, or one of FSJ_ERROR_*
  const char *message;    // static text, or NULL
} fsj_result;

enum {
  FSJ_ERROR_MALFORMED = 1,
  FSJ_ERROR_TOO_LARGE = 2,
  FSJ_ERROR_TOO_DEEP = 3,
  FSJ_ERROR_MEMORY = 4,
  FSJ_ERROR_NUMBER = 5,
  FSJ_ERROR_UTF8 = 6,
};

typedef struct fsj_parser fsj_parser;

// max_bytes: the largest document; max_depth: the deepest nesting of containers. NULL if there is no memory.
fsj_parser *fsj_parser_create(size_t max_bytes, size_t max_depth);
void fsj_parser_destroy(fsj_parser *parser);

// Copies the document into the parser's own buffer and parses it. Never throws; allocates only to grow.
fsj_result fsj_parse(fsj_parser *parser, const uint8_t *bytes, size_t count);

#ifdef __cplusplus
}
#endif

#endif
