// Starts a page that holds one analysis: reads the record that stands in its own HTML, and draws it.
import { mount } from 'svelte';
import '../styles/base.css';
import '../styles/panels.css';
import '../styles/print.css';
import '../styles/forced_colours.css';
import { DICTIONARIES } from '../i18n/all_dictionaries';
import { languageFor } from '../i18n/dictionary';
import { RECORD_ELEMENT } from '../saved_page/record';
import { readRecord } from '../saved_page/read_record';
import { keepTextChangeable } from '../views/translated_text';
import StandalonePage from './StandalonePage.svelte';

async function start(target: HTMLElement): Promise<void> {
  const text = document.getElementById(RECORD_ELEMENT)?.textContent ?? '';
  try {
    const first = await readRecord(text);
    keepTextChangeable(target);
    target.replaceChildren();
    mount(StandalonePage, { target, props: { first } });
  } catch (error) {
    console.error(error);
    const words = DICTIONARIES[languageFor(navigator.languages)];
    const detail = error instanceof RangeError ? error.message : String(error);
    target.textContent = words.savedPage.damaged(detail);
    target.setAttribute('role', 'alert');
  }
}

const target = document.getElementById('app');
if (target === null) throw new Error('the page has no #app');
void start(target);
