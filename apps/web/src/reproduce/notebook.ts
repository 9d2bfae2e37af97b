// A program as a Jupyter notebook, nbformat 4.5.
import type { Program } from './program';
import { commentText, pythonString } from './python_text';

interface NotebookCell {
  readonly cell_type: 'code' | 'markdown';
  readonly id: string;
  readonly metadata: Readonly<Record<string, never>>;
  readonly source: readonly string[];
  readonly execution_count?: null;
  readonly outputs?: readonly never[];
}

export function notebook({ title, facts, imports, files, parts }: Program): string {
  const markdown = [`# ${plain(title)}`, '', ...facts.map((fact) => `- ${plain(fact)}`)];
  const cells: NotebookCell[] = [
    markdownCell('title', markdown),
    codeCell('files', [
      ...imports,
      '',
      ...files.map(
        ({ variable, name, what }) => `${variable} = ${pythonString(name)}  # ${commentText(what)}`,
      ),
    ]),
    ...parts.flatMap(({ title: heading, lines }, at) => [
      markdownCell(`heading-${at}`, [`## ${plain(heading)}`]),
      codeCell(`code-${at}`, lines),
    ]),
  ];
  const document = {
    cells,
    metadata: {
      kernelspec: { display_name: 'Python 3', language: 'python', name: 'python3' },
      language_info: { name: 'python' },
    },
    nbformat: 4,
    nbformat_minor: 5,
  };
  return `${JSON.stringify(document, null, 1)}\n`;
}

function markdownCell(id: string, lines: readonly string[]): NotebookCell {
  return { cell_type: 'markdown', id, metadata: {}, source: inLines(lines) };
}

function codeCell(id: string, lines: readonly string[]): NotebookCell {
  return {
    cell_type: 'code',
    id,
    metadata: {},
    execution_count: null,
    outputs: [],
    source: inLines(lines),
  };
}

/** Break into lines that end in a line break, but for the last, as notebooks have them. */
function inLines(lines: readonly string[]): string[] {
  const all = lines.flatMap((line) => line.split('\n'));
  return all.map((line, at) => (at === all.length - 1 ? line : `${line}\n`));
}

/** Escape what Markdown or HTML would read as markup. */
function plain(text: string): string {
  return commentText(text).replace(/[\\`*_{}[\]<>()#+!|~$&]/g, '\\$&');
}
