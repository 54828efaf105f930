# room_library(NAME name SRCS ... DEPS ... [TORCH])
#   The library of one room: static, explicit sources, target promptd::name.
#   Headers are included as "room/file.h" from the top of the tree. TORCH adds
#   the wheel's trimmed headers and libraries to this room only.
# room_test(NAME name SRCS ... DEPS ... LABELS ... [TORCH])
#   The one test binary of a room, run by ctest as a single test.

add_library(promptd_options INTERFACE)
target_include_directories(promptd_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(promptd_options INTERFACE -Wall -Wextra -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION
   VERSION_LESS 13)
  # GCC 12 reports std::string's own copies (GCC bug 105651).
  target_compile_options(promptd_options INTERFACE -Wno-restrict)
endif()
if(PROMPTD_WERROR)
  target_compile_options(promptd_options INTERFACE -Werror)
endif()
if(PROMPTD_SANITIZE)
  if(PROMPTD_SANITIZE MATCHES "address" AND PROMPTD_SANITIZE MATCHES "thread")
    message(FATAL_ERROR "address and thread sanitizers cannot be combined")
  endif()
  target_compile_options(promptd_options INTERFACE
    -fsanitize=${PROMPTD_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(promptd_options INTERFACE
    -fsanitize=${PROMPTD_SANITIZE})
endif()

# The headers of torch and gRPC take most of the compiler's time: they are read
# once for several files.
function(several_files_at_once target)
  set_target_properties(${target} PROPERTIES
    UNITY_BUILD ${PROMPTD_UNITY} UNITY_BUILD_BATCH_SIZE 6)
endfunction()

function(room_library)
  cmake_parse_arguments(ROOM "TORCH" "NAME" "SRCS;DEPS" ${ARGN})
  add_library(promptd_${ROOM_NAME} STATIC ${ROOM_SRCS})
  add_library(promptd::${ROOM_NAME} ALIAS promptd_${ROOM_NAME})
  target_link_libraries(promptd_${ROOM_NAME}
    PUBLIC promptd_options ${ROOM_DEPS})
  several_files_at_once(promptd_${ROOM_NAME})
  if(ROOM_TORCH)
    target_link_libraries(promptd_${ROOM_NAME} PRIVATE promptd_torch)
  endif()
endfunction()

function(room_test)
  cmake_parse_arguments(ROOM "TORCH" "NAME;TIMEOUT" "SRCS;DEPS;LABELS" ${ARGN})
  add_executable(${ROOM_NAME}_test ${ROOM_SRCS})
  target_link_libraries(${ROOM_NAME}_test PRIVATE
    promptd_options ${ROOM_DEPS} GTest::gmock GTest::gtest_main)
  if(ROOM_TORCH)
    target_link_libraries(${ROOM_NAME}_test PRIVATE promptd_torch)
  endif()
  # Test code itself is compiled for the compiler's speed, not its own.
  target_compile_options(${ROOM_NAME}_test PRIVATE -O0)
  several_files_at_once(${ROOM_NAME}_test)
  if(NOT ROOM_TIMEOUT)
    set(ROOM_TIMEOUT 300)
  endif()
  add_test(NAME ${ROOM_NAME}_test COMMAND ${ROOM_NAME}_test)
  set_tests_properties(${ROOM_NAME}_test PROPERTIES
    LABELS "${ROOM_LABELS}" TIMEOUT ${ROOM_TIMEOUT}
    ENVIRONMENT "PROMPTD_SOURCE_DIR=${CMAKE_SOURCE_DIR};PROMPTD_BINARY_DIR=${CMAKE_BINARY_DIR}")
endfunction()
