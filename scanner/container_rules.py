"""What a contradiction in an archive weighs. Pure."""

from scanner.evidence import Finding

ODD = {
    "container_code_before_archive": ("high", "Byte code stands before the archive (Janus)"),
    "container_names_differ": ("medium", "Directory and local header name the entry differently"),
    "container_methods_differ": ("medium", "Directory and local header differ in the method"),
    "container_flags_differ": ("note", "Directory and local header differ in the flags"),
    "container_encryption_flag": ("medium", "The entry is marked as encrypted"),
    "container_unknown_method": ("medium", "The entry has an unknown compression method"),
    "container_sizes_lie": ("medium", "The entry's size is not what is said"),
    "container_checksum_wrong": ("medium", "The entry's checksum is wrong"),
    "container_duplicate_entry": ("medium", "Two entries of one name"),
    "container_duplicate_harmless": ("note", "Two entries of one name"),
    "container_hidden_entry": ("medium", "An entry that the directory does not list"),
    "container_leftover_entry": ("note", "An entry that the directory does not list"),
    "container_several_directories": ("medium", "More than one central directory"),
    "container_count_wrong": ("medium", "The directory's count of entries is wrong"),
    "container_version": ("medium", "The entry asks for a reader that cannot exist"),
    "container_split": ("medium", "The archive calls itself a part of several"),
    "container_odd_name": ("medium", "The entry's name is made to mislead"),
    "container_unicode_path": ("medium", "The entry has a second name that differs"),
    "container_extra_broken": ("note", "The entry's extra fields cannot be read"),
    "container_folder_with_data": ("medium", "A folder holds data"),
    "container_overlap": ("medium", "Two entries share bytes"),
    "container_directory_place": ("medium", "The directory is not where the end record says"),
    "container_directory_size": ("medium", "The directory's size is not what is said"),
    "container_bytes_after_end": ("medium", "Bytes follow the end of the archive"),
    "container_zip64": ("note", "The archive is of the kind for more than 4 GB"),
    "container_code_outside": ("medium", "Byte code stands in no entry of the archive"),
    "container_bytes_before_archive": ("medium", "The archive does not begin where it says"),
}
CATEGORY = "evasive-container"
TECHNIQUE = "T1406"


def contradiction(rule: str, where: str, evidence: str) -> Finding:
    """Return the finding for one of `ODD`."""
    severity, title = ODD[rule]
    return Finding(rule, severity, where, evidence, title, CATEGORY, technique=TECHNIQUE)
