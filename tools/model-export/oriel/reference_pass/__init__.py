"""A reference pass: its file, and the comparison of a run with it. The page does the same in
apps/web/src/inference/: read_reference_pass.ts, compare_pass.ts."""
