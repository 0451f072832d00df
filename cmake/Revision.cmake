# Writes the header of provenance: git revision, compiler and flags. Run as a script at every build; the
# file is rewritten only where something changed.
set(revision "unknown")
find_program(GIT git)
if(GIT)
  execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --short=12 HEAD OUTPUT_VARIABLE head
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(revision ${head})
    execute_process(COMMAND ${GIT} -C ${SOURCE} status --porcelain --untracked-files=no OUTPUT_VARIABLE changes
                    ERROR_QUIET)
    if(NOT changes STREQUAL "")
      set(revision "${revision}, modified")
    endif()
  endif()
endif()
configure_file(${SOURCE}/cmake/revision.h.in ${TARGET}/revision.h @ONLY)
