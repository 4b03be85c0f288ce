// What a played browser adds to a page: a bar that says so, and inside WeChat its bridge with the sheet to pay on.
"use strict";

const played = document.currentScript.dataset;

const bar = document.createElement("p");
bar.className = "played-bar";
const leave = Object.assign(document.createElement("a"), { href: played.phone, textContent: played.leave });
bar.append(`${played.name} · `, leave);
document.body.prepend(bar);

async function askWeChat(values) {
  const response = await fetch(played.jsapi, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(values),
  });
  return response.json();
}

function button(text, name) {
  return Object.assign(document.createElement("button"), { type: "button", textContent: text, className: name });
}

/** The sheet that slides in; true when the buyer pays. */
function sheet({ payee, amount }) {
  const dialog = Object.assign(document.createElement("dialog"), { className: "played-sheet" });
  const pay = button(`${played.pay} ¥${amount}`, "played-pay");
  const cancel = button(played.cancel, "played-cancel");
  const sum = Object.assign(document.createElement("strong"), { textContent: `¥${amount}` });
  const who = Object.assign(document.createElement("p"), { textContent: payee });
  dialog.append(who, sum, pay, cancel);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((done) => {
    pay.addEventListener("click", () => dialog.close("pay"));
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(dialog.returnValue === "pay");
    });
  });
}

async function pay(values) {
  const seen = await askWeChat({ ...values, look: "1" });
  if (seen.errMsg !== "look:ok") return "fail";
  if (!(await sheet(seen))) return "cancel";
  const paid = await askWeChat(values);
  return paid.errMsg === "requestPayment:ok" ? "ok" : "fail";
}

if (played.browser === "wechat") {
  window.WeixinJSBridge = {
    invoke(name, values, done) {
      if (name !== "getBrandWCPayRequest") return done({ err_msg: "system:function_not_exist" });
      pay(values).then((end) => done({ err_msg: `get_brand_wcpay_request:${end}` }));
    },
  };
  document.dispatchEvent(new Event("WeixinJSBridgeReady"));
}
