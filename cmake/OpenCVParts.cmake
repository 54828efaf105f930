# opencv_core, opencv_imgproc and opencv_imgcodecs as imported targets.
#
# Debian's OpenCVConfig.cmake comes only with libopencv-dev, which pulls in
# every OpenCV module; the three parts' own -dev packages are enough for us.
find_path(PROMPTD_OPENCV_INCLUDE opencv2/core.hpp
  PATH_SUFFIXES opencv4 REQUIRED)
foreach(_part core imgproc imgcodecs)
  find_library(PROMPTD_OPENCV_${_part} opencv_${_part} REQUIRED)
  add_library(opencv_${_part} UNKNOWN IMPORTED)
  set_target_properties(opencv_${_part} PROPERTIES
    IMPORTED_LOCATION ${PROMPTD_OPENCV_${_part}}
    INTERFACE_INCLUDE_DIRECTORIES ${PROMPTD_OPENCV_INCLUDE})
endforeach()
