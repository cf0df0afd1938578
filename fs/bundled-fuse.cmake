# SPDX-License-Identifier: Apache-2.0
# Which libfuse: defines the target cowfs_libfuse.
#   bundled  the pinned version that speaks over io_uring, built once into the build folder
#            (fetch-libfuse.sh), static; an error when it cannot be had
#   system   the distribution's library, classic transport
#   auto     bundled, else system, and says so. Delete <build>/libfuse to have it tried again.
set(libfuse_dir ${CMAKE_BINARY_DIR}/libfuse)
set(libfuse_lib ${libfuse_dir}/usr/lib/libfuse3.a)
set(libfuse_failed ${libfuse_dir}/failed)
add_library(cowfs_libfuse INTERFACE)

if(NOT COWFS_FUSE MATCHES "^(auto|system|bundled)$")
  message(FATAL_ERROR "COWFS_FUSE is '${COWFS_FUSE}': it must be auto, system or bundled")
endif()

if(COWFS_FUSE STREQUAL "bundled" OR (COWFS_FUSE STREQUAL "auto" AND NOT EXISTS ${libfuse_failed}))
  if(NOT EXISTS ${libfuse_lib})
    message(STATUS "libfuse: getting the version that speaks over io_uring")
  endif()
  execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/fetch-libfuse.sh ${libfuse_dir}
                  RESULT_VARIABLE libfuse_result ERROR_VARIABLE libfuse_why
                  ERROR_STRIP_TRAILING_WHITESPACE)
  if(NOT libfuse_result EQUAL 0)
    if(COWFS_FUSE STREQUAL "bundled")
      message(FATAL_ERROR "${libfuse_why}")
    endif()
    message(STATUS "libfuse: no io_uring transport, using the system's library (${libfuse_why})")
    file(WRITE ${libfuse_failed} "${libfuse_why}\n")
  else()
    file(REMOVE ${libfuse_failed}) # of an earlier try, with auto
  endif()
endif()

if(NOT COWFS_FUSE STREQUAL "system" AND EXISTS ${libfuse_lib} AND NOT EXISTS ${libfuse_failed})
  pkg_check_modules(URING REQUIRED IMPORTED_TARGET liburing)
  pkg_check_modules(NUMA REQUIRED IMPORTED_TARGET numa)
  target_include_directories(cowfs_libfuse SYSTEM INTERFACE ${libfuse_dir}/usr/include/fuse3)
  target_link_libraries(cowfs_libfuse INTERFACE ${libfuse_lib} PkgConfig::URING PkgConfig::NUMA
                        ${CMAKE_DL_LIBS} rt Threads::Threads)
  target_compile_definitions(cowfs_libfuse INTERFACE COWFS_URING=1)
  set(cowfs_libfuse_link_options -Wl,--wrap=io_uring_submit_and_wait) # see uring.c
  message(STATUS "libfuse: bundled, with the io_uring transport")
else()
  pkg_check_modules(FUSE3 REQUIRED IMPORTED_TARGET fuse3>=3.14)
  target_link_libraries(cowfs_libfuse INTERFACE PkgConfig::FUSE3)
  message(STATUS "libfuse: the system's ${FUSE3_VERSION}, classic transport")
endif()
