# Writes OUT, a C++ file with the text of every FOLDER/NNNN_name.sql in order.
#   cmake -DFOLDER=... -DOUT=... -P embed_migrations.cmake
file(GLOB files "${FOLDER}/*.sql")
list(SORT files)
set(body "")
set(expected 1)
foreach(file ${files})
  get_filename_component(stem "${file}" NAME_WE)
  if(NOT stem MATCHES "^([0-9][0-9][0-9][0-9])_([a-z0-9_]+)$")
    message(FATAL_ERROR "${file}: name it NNNN_what_it_does.sql")
  endif()
  set(name "${CMAKE_MATCH_2}")
  string(REGEX REPLACE "^0+" "" version "${CMAKE_MATCH_1}")
  if(NOT version EQUAL expected)
    message(FATAL_ERROR "${file}: expected migration ${expected}")
  endif()
  math(EXPR expected "${expected} + 1")
  file(READ "${file}" sql)
  string(APPEND body
         "      {${version}, \"${name}\", R\"~sql~(${sql})~sql~\"},\n")
endforeach()
set(text "// Generated from store/migrations by embed_migrations.cmake.
#include \"store/migrations.h\"

namespace promptd::store {

const std::vector<Migration>& EmbeddedMigrations() {
  static const std::vector<Migration>* const migrations =
      new std::vector<Migration>{
${body}  };
  return *migrations;
}

}  // namespace promptd::store
")
file(WRITE "${OUT}" "${text}")
