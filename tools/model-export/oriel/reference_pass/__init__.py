"""Reference passes: reads and writes their files, and compares a run with one. The page does the
same in apps/web/src/inference/: read_reference_pass.ts, compare_pass.ts."""
