# SPDX-License-Identifier: MIT
# cmake --install: the headers, a package for find_package(felix) and a felix.pc. All of it finds itself by its own place,
# so an installed tree can be moved. Nothing depends on the machine, hence share/ and not lib/.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(felix_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/felix")
set(felix_pkgconfig_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")

install(TARGETS felix EXPORT felix-targets FILE_SET HEADERS)
install(EXPORT felix-targets NAMESPACE felix:: DESTINATION "${felix_package_dir}")

configure_package_config_file(cmake/felix-config.cmake.in felix-config.cmake
                              INSTALL_DESTINATION "${felix_package_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(felix-config-version.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/felix-config.cmake" "${PROJECT_BINARY_DIR}/felix-config-version.cmake"
        DESTINATION "${felix_package_dir}")

# --install --prefix may differ from CMAKE_INSTALL_PREFIX, so felix.pc counts the steps up from its own folder.
if(IS_ABSOLUTE "${felix_pkgconfig_dir}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(felix_pc_prefix "${CMAKE_INSTALL_PREFIX}")
  set(felix_pc_includedir "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
else()
  file(RELATIVE_PATH felix_pc_up "/${felix_pkgconfig_dir}" "/")
  string(REGEX REPLACE "/$" "" felix_pc_up "${felix_pc_up}")
  set(felix_pc_prefix "\${pcfiledir}/${felix_pc_up}")
  set(felix_pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(cmake/felix.pc.in felix.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/felix.pc" DESTINATION "${felix_pkgconfig_dir}")
