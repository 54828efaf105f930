# LibTorch from the pip wheel, without TorchConfig.cmake: that file shadows the
# system's protobuf and, in a CUDA wheel, stops where no CUDA toolkit is.
#
# Variable PROMPTD_TORCH_CUDA says whether the wheel has CUDA parts. Target
# promptd_cudart, where it exists, is CUDA's runtime from the pip packages that a
# CUDA wheel and tools/requirements-test.txt ask for: no toolkit is needed.
#
# Target promptd_torch carries:
#  - a folder of links to the wheel's ATen, c10, caffe2 and torch headers only
#    (the wheel also ships protobuf 3.13, fmt and others that must stay hidden);
#  - libc10 and libtorch_cpu, and their CUDA parts where the wheel has them;
#  - the two definitions that make the compiler refuse torch's wide headers.

set(PROMPTD_TORCH_DIR "" CACHE PATH
  "Folder of the torch Python package (holds include/ and lib/)")
if(NOT PROMPTD_TORCH_DIR)
  file(GLOB _torch_dirs
    ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  if(NOT _torch_dirs)
    message(FATAL_ERROR "No torch wheel in .venv: run scripts/setup, or pass "
      "-DPROMPTD_TORCH_DIR=<site-packages>/torch, or -DPROMPTD_TORCH=OFF.")
  endif()
  list(GET _torch_dirs 0 _torch_dir)
else()
  set(_torch_dir ${PROMPTD_TORCH_DIR})
endif()
if(NOT EXISTS ${_torch_dir}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "No LibTorch in ${_torch_dir}: expected lib/libtorch_cpu.so")
endif()

set(_torch_headers ${CMAKE_BINARY_DIR}/torch_headers)
file(MAKE_DIRECTORY ${_torch_headers})
foreach(_name ATen c10 caffe2 torch)
  file(CREATE_LINK ${_torch_dir}/include/${_name} ${_torch_headers}/${_name}
    SYMBOLIC)
endforeach()

add_library(promptd_torch INTERFACE)
target_include_directories(promptd_torch SYSTEM INTERFACE ${_torch_headers})
target_compile_definitions(promptd_torch INTERFACE
  AT_PER_OPERATOR_HEADERS TORCH_ASSERT_ONLY_METHOD_OPERATORS)
target_link_options(promptd_torch INTERFACE
  -Wl,-rpath,${_torch_dir}/lib -Wl,--no-as-needed)
target_link_libraries(promptd_torch INTERFACE
  ${_torch_dir}/lib/libtorch_cpu.so ${_torch_dir}/lib/libc10.so)
set(PROMPTD_TORCH_CUDA OFF)
if(EXISTS ${_torch_dir}/lib/libtorch_cuda.so)
  set(PROMPTD_TORCH_CUDA ON)
  target_link_libraries(promptd_torch INTERFACE
    ${_torch_dir}/lib/libtorch_cuda.so ${_torch_dir}/lib/libc10_cuda.so)
endif()

option(PROMPTD_CUDA_RUNTIME "Take CUDA's runtime where the wheel's folder has it"
  ON)
get_filename_component(_site_packages ${_torch_dir} DIRECTORY)
# Looked at again in every build: `make demo` configures without them, `make
# test` brings them.
file(GLOB _cuda_headers CONFIGURE_DEPENDS
  ${_site_packages}/nvidia/*/include/cuda_runtime_api.h)
file(GLOB _cudart CONFIGURE_DEPENDS
  ${_site_packages}/nvidia/*/lib/libcudart.so.*)
if(PROMPTD_CUDA_RUNTIME AND _cuda_headers AND _cudart)
  list(GET _cuda_headers 0 _cuda_header)
  list(GET _cudart 0 _cudart)
  get_filename_component(_cuda_include ${_cuda_header} DIRECTORY)
  get_filename_component(_cudart_dir ${_cudart} DIRECTORY)
  add_library(promptd_cudart INTERFACE)
  target_include_directories(promptd_cudart SYSTEM INTERFACE ${_cuda_include})
  target_compile_definitions(promptd_cudart INTERFACE PROMPTD_CUDA)
  target_link_options(promptd_cudart INTERFACE -Wl,-rpath,${_cudart_dir})
  target_link_libraries(promptd_cudart INTERFACE ${_cudart})
elseif(PROMPTD_TORCH_CUDA)
  message(FATAL_ERROR "The torch wheel has CUDA parts but ${_site_packages} "
    "holds no nvidia/*/include/cuda_runtime_api.h: run scripts/setup again.")
endif()
message(STATUS "torch wheel: ${_torch_dir} (cuda=${PROMPTD_TORCH_CUDA})")
