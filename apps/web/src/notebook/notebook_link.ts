// Joins the pages of one display in a notebook to Python: the script of an anywidget without a view of its own. It runs in
// the notebook's document once the kernel has made the widget, and again in each notebook that is opened beside a kernel
// which has it. oriel/notebook/python_link.py is the other end.
import { messageFromPage, type ToPage } from '../saved_page/kernel_messages';

/** The part of anywidget's model that is used here. */
export interface WidgetModel {
  get(name: 'token'): unknown;
  send(content: unknown): void;
  on(event: 'msg:custom', hear: (content: unknown) => void): void;
  off(event: 'msg:custom', hear: (content: unknown) => void): void;
}

/** Begin to pass on questions and answers. Returns what ends it. */
export function initialize({ model }: { model: WidgetModel }): () => void {
  const token = String(model.get('token'));
  const tell = (page: Window | null, message: ToPage): void => {
    // The page has no origin of its own that could be named; only frames with this display's token are told.
    page?.postMessage(message, '*');
  };
  /** A notebook may show one output in several places. */
  const pages = (): (Window | null)[] =>
    Array.from(document.querySelectorAll('iframe'))
      .filter(({ dataset }) => dataset['oriel'] === token)
      .map(({ contentWindow }) => contentWindow);
  const hearPage = ({ source, data }: MessageEvent): void => {
    const page = pages().find((each) => each !== null && each === source);
    const message = messageFromPage(data, token);
    if (page === undefined || message === null) return;
    if (message.oriel === 'hello') tell(page, { oriel: 'ready', token });
    else model.send({ question: message.question });
  };
  const hearPython = (content: unknown): void => {
    if (typeof content !== 'object' || content === null) return;
    const { record, reason } = content as Readonly<Record<string, unknown>>;
    for (const page of pages()) {
      if (typeof record === 'string') tell(page, { oriel: 'answer', token, record });
      else if (typeof reason === 'string') tell(page, { oriel: 'refused', token, reason });
    }
  };
  addEventListener('message', hearPage);
  model.on('msg:custom', hearPython);
  // Pages that were there first have said hello already.
  for (const page of pages()) tell(page, { oriel: 'ready', token });
  return () => {
    removeEventListener('message', hearPage);
    model.off('msg:custom', hearPython);
  };
}

export default { initialize };
