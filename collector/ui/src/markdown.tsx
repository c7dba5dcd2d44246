// The little of markdown that our own panels use: paragraphs, lists, links to dashboards, bold.

import type { ComponentChildren } from "preact";

export function Markdown({ text }: { text: string }) {
  return (
    <div class="markdown">
      {text.split(/\n\n+/).map((block) => (
        <p key={block}>{inline(block)}</p>
      ))}
    </div>
  );
}

function inline(text: string): ComponentChildren[] {
  return text.split(/(\[[^\]]*\]\([^)]*\)|\*\*[^*]+\*\*)/).map((part) => {
    const link = /^\[([^\]]*)\]\(#\/view\/([\w-]+)\)$/.exec(part);
    if (link) return <a href={`?dashboard=${encodeURIComponent(link[2] ?? "")}`}>{link[1]}</a>;
    const bold = /^\*\*([^*]+)\*\*$/.exec(part);
    return bold ? <strong>{bold[1]}</strong> : part;
  });
}
