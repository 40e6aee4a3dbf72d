package terminal

import "fmt"

// Fault names what keeps a machine from its gateway.
type Fault int

// What can be in the way.
const (
	FaultUnknown Fault = iota
	FaultNoName
	FaultNoDNS
	FaultRefused
	FaultUnreachable
	FaultTimeout
	FaultBroken
	FaultUntrusted
	FaultOtherName
	FaultExpired
	FaultNotYetValid
	FaultClock
	FaultBadTLS
	FaultNoTLS
	FaultNotAGateway
	FaultWebPage
	FaultLoginPage
	FaultNoWebSocket
	FaultBadGateway
	FaultBusy
	FaultForbidden
	FaultBadRequest
	FaultProxyAuth
	FaultProxyRefuses
	FaultProxyDown
	FaultSilent
	FaultTooSlow
	FaultTooBig
	FaultRestarting
	FaultRateLimited
	FaultTooMany
	FaultDirectory
	FaultBadToken
	FaultBacklog
	FaultHeld
	FaultNoKeyNow
	faults // how many there are
)

// Problem is a fault with what is known of it.
type Problem struct {
	Fault Fault
	// Args fill the verbs of the fault's sentence.
	Args []any
	// Cause is text of somebody else's to add: a gateway's own words, a cause without a translation.
	Cause string
}

// fault is what is wrong, and what to do about it; the latter may be empty.
type fault struct{ what, todo text }

// Sentence says what is wrong.
func (p Problem) Sentence(l Language) string {
	sentence := fill(faultTexts[p.Fault].what.in(l), p.Args)
	switch {
	case p.Cause == "":
		return sentence
	case sentence == "":
		return p.Cause
	case l == Chinese:
		return sentence + "（" + p.Cause + "）"
	}
	return sentence + " (" + p.Cause + ")"
}

// Advice says what to do.
func (p Problem) Advice(l Language) string { return faultTexts[p.Fault].todo.in(l) }

func fill(format string, args []any) string {
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(format, args...)
}

var faultTexts = [faults]fault{
	FaultUnknown: {what: text{"the gateway cannot be reached", "无法连接网关"}},
	FaultNoName: {
		text{"there is no host named %s", "找不到名为 %s 的主机"},
		text{
			"Check the spelling of --server. If it is right, this host's DNS does not know the name yet: getent hosts NAME shows what it answers.",
			"请检查 --server 的拼写。若无误，则本机的 DNS 还不认识这个名字：可用 getent hosts 名字 查看。",
		},
	},
	FaultNoDNS: {
		text{"the name %s could not be looked up: DNS does not answer", "无法查询名字 %s：DNS 没有应答"},
		text{
			"Is this host's network up? /etc/resolv.conf names its DNS servers. It is tried again by itself.",
			"本机网络是否正常？DNS 服务器写在 /etc/resolv.conf 中。客户端会自动重试。",
		},
	},
	FaultRefused: {
		text{"%s refuses the connection: nothing listens there", "%s 拒绝连接：该端口没有程序在监听"},
		text{
			"Is the gateway running, and is the port right? It is 5000 unless set otherwise, and 443 behind nginx or Cloudflare.",
			"网关是否在运行？端口是否正确？默认为 5000；在 nginx 或 Cloudflare 之后为 443。",
		},
	},
	FaultUnreachable: {
		text{"there is no way to %s through the network", "没有通往 %s 的网络路由"},
		text{"Is this host's network up? A firewall or VPN may be in the way.", "本机网络是否正常？可能被防火墙或 VPN 阻断。"},
	},
	FaultTimeout: {
		text{"%s does not answer in time", "%s 没有及时应答"},
		text{
			"Check address and port. A firewall that drops packets looks like this; if only a proxy leads outside, set HTTPS_PROXY.",
			"请检查地址和端口。防火墙丢弃数据包时就是这样；若只能经代理上网，请设置 HTTPS_PROXY。",
		},
	},
	FaultBroken: {
		text{"the connection broke", "连接中断"},
		text{},
	},
	FaultUntrusted: {
		text{"the TLS certificate of %s comes from nobody this host trusts", "%s 的 TLS 证书不是由本机信任的机构签发的"},
		text{
			"If it is a certificate of your own, --ca FILE (or FLEETLINE_CA) names it or its authority's. If it should be a public one, somebody may be listening in: do not go on.",
			"若是自签证书，请用 --ca FILE（或 FLEETLINE_CA）指定它或其签发机构的证书。若本应是公共证书，可能有人在窃听：请勿继续。",
		},
	},
	FaultOtherName: {
		text{"the TLS certificate that %s shows is made out to another name: %s", "%s 出示的 TLS 证书属于别的名字：%s"},
		text{
			"Use a name of the certificate in --server, or have the server's certificate made out to this one too.",
			"请在 --server 中使用证书上的名字，或让服务器的证书也包含这个名字。",
		},
	},
	FaultExpired: {
		text{"the TLS certificate of %s has expired on %s", "%s 的 TLS 证书已于 %s 过期"},
		text{"Whoever runs the server must renew it (certbot renew, for one).", "请服务器管理员续期（例如 certbot renew）。"},
	},
	FaultNotYetValid: {
		text{"the TLS certificate of %s is not valid before %s", "%s 的 TLS 证书要到 %s 才生效"},
		text{"Is this host's clock right? If it is, the server shows a certificate of the future.", "本机时钟是否正确？若正确，则服务器的证书尚未生效。"},
	},
	FaultClock: {
		text{"this host's clock is wrong: here it is %s, at the server %s", "本机时钟不对：这里是 %s，服务器是 %s"},
		text{
			"Set this host's clock (timedatectl set-ntp true): by it, the server's certificate is out of date.",
			"请校准本机时钟（timedatectl set-ntp true）：按现在的时钟，服务器的证书不在有效期内。",
		},
	},
	FaultBadTLS: {
		text{"no encrypted connection to %s could be agreed on", "无法与 %s 建立加密连接"},
		text{
			"Something that is no web server, or a very old one, answers there. Check the port, and SSL/TLS at Cloudflare (Full, strict).",
			"应答的可能不是网页服务器，或者版本过旧。请检查端口，以及 Cloudflare 的 SSL/TLS（Full, strict）。",
		},
	},
	FaultNoTLS: {
		text{"%s answers without TLS", "%s 的应答没有使用 TLS"},
		text{
			"Use the port where TLS is (443 behind nginx), or ws:// in --server if the line may be unencrypted.",
			"请使用 TLS 端口（nginx 之后为 443）；若允许不加密，请在 --server 中使用 ws://。",
		},
	},
	FaultNotAGateway: {
		text{"%s is no Fleetline gateway: it answers %s", "%s 不是 Fleetline 网关：它的应答是 %s"},
		text{
			"Check host, port and path of --server. A gateway answers at / and /ws, machines' port 5000 unless set otherwise.",
			"请检查 --server 的主机、端口和路径。网关在 / 和 /ws 应答，机器端口默认为 5000。",
		},
	},
	FaultWebPage: {
		text{"a web page answers at %s, and no gateway (%s)", "%s 上应答的是网页，不是网关（%s）"},
		text{
			"Is it another web site, the page of a proxy in between, or a network that wants a login first? Open the address in a browser to see.",
			"是别的网站、中间代理的页面，还是要求先登录的网络？用浏览器打开该地址即可看到。",
		},
	},
	FaultLoginPage: {
		text{"the way to %s is turned aside to %s", "通往 %s 的请求被转到 %s"},
		text{
			"Networks that want a login first do this: open a browser here and log in. Otherwise use the address it leads to in --server.",
			"要求先登录的网络会这样做：请在本机打开浏览器登录。否则请在 --server 中使用转到的地址。",
		},
	},
	FaultNoWebSocket: {
		text{"the gateway is there, but something in between lets no WebSockets through (%s)", "网关在线，但中间有东西不让 WebSocket 通过（%s）"},
		text{
			"nginx needs proxy_http_version 1.1 and the headers Upgrade and Connection; at Cloudflare turn Network > WebSockets on.",
			"nginx 需要 proxy_http_version 1.1 以及 Upgrade 和 Connection 请求头；Cloudflare 请打开 Network > WebSockets。",
		},
	},
	FaultBadGateway: {
		text{"a proxy in front of the gateway answers %s: it does not reach it", "网关前的代理应答 %s：它无法到达网关"},
		text{
			"Is the gateway running behind it? Look at the proxy's error log. It is tried again by itself.",
			"其后的网关是否在运行？请查看代理的错误日志。客户端会自动重试。",
		},
	},
	FaultBusy: {
		text{"the server wants fewer connections from here (%s)", "服务器要求减少来自这里的连接（%s）"},
		text{"It is tried again by itself, as the server asks.", "客户端会按服务器的要求自动重试。"},
	},
	FaultForbidden: {
		text{"something in front of the gateway wants to know who comes (%s)", "网关前有东西要求验证身份（%s）"},
		text{
			"A proxy, firewall or access rule (Cloudflare Access, basic auth) stands there: have it let /ws through. The API key is not the reason.",
			"那里有代理、防火墙或访问规则（Cloudflare Access、basic auth）：请让它放行 /ws。这与 API 密钥无关。",
		},
	},
	FaultBadRequest: {
		text{"%s does not understand the request (%s)", "%s 不理解该请求（%s）"},
		text{"A port that wants TLS answers like this: try wss:// in --server.", "要求 TLS 的端口会这样应答：请在 --server 中改用 wss://。"},
	},
	FaultProxyAuth: {
		text{"the proxy wants a user and a password (407)", "代理要求用户名和密码（407）"},
		text{
			"Put them into the proxy's address: HTTPS_PROXY=http://user:password@host:port. NO_PROXY names hosts that need no proxy.",
			"请写入代理地址：HTTPS_PROXY=http://用户:密码@主机:端口。NO_PROXY 列出不经代理的主机。",
		},
	},
	FaultProxyRefuses: {
		text{"the proxy opens no way to %s (%s)", "代理不放行 %s（%s）"},
		text{"Whoever runs the proxy must allow CONNECT to this host and port.", "请代理的管理员允许到该主机和端口的 CONNECT。"},
	},
	FaultProxyDown: {
		text{"the proxy that HTTPS_PROXY or HTTP_PROXY names cannot be reached", "无法连接 HTTPS_PROXY 或 HTTP_PROXY 指定的代理"},
		text{"Check its address, or take the variable away if no proxy is needed here.", "请检查其地址；若不需要代理，请去掉该变量。"},
	},
	FaultSilent:     {what: text{"the gateway was silent for one and a half heartbeats", "网关已沉默一个半心跳周期"}},
	FaultTooSlow:    {what: text{"the gateway did not let the machine in within 30 s", "网关未在 30 秒内接纳这台机器"}},
	FaultTooBig:     {what: text{"the gateway sent a larger frame than this client takes", "网关发来的帧超过此客户端的上限"}},
	FaultRestarting: {what: text{"the gateway is restarting", "网关正在重启"}},
	FaultRateLimited: {
		text{"the gateway limits the rate", "网关限制了速率"},
		text{},
	},
	FaultTooMany: {
		text{"too many connections with this identity or from this address", "使用此身份或来自此地址的连接过多"},
		text{"Is the same machine's state used by several copies at once? Each needs a --state-dir of its own.", "是否有多个副本同时使用同一份机器状态？每个副本都需要自己的 --state-dir。"},
	},
	FaultDirectory: {what: text{"the gateway cannot ask its database at the moment", "网关暂时无法查询数据库"}},
	FaultBadToken:  {what: text{"the session is over; the API key is used again", "会话已结束；将重新使用 API 密钥"}},
	FaultBacklog:   {what: text{"what was missed is too old to be sent", "错过的消息过旧，无法补发"}},
	FaultHeld: {
		text{"the gateway waits for proof that this machine may still come", "网关正在确认这台机器是否仍被允许"},
		text{"Nothing is lost: the key is kept. On the server, `fleetline deletions list` shows what is waiting.", "不会丢失任何内容：密钥仍保留。在服务器上可用 `fleetline deletions list` 查看。"},
	},
	FaultNoKeyNow: {
		text{"there is no API key at the moment", "目前没有 API 密钥"},
		text{"Put FLEETLINE_API_KEY into .env, or start again and type it.", "请将 FLEETLINE_API_KEY 写入 .env，或重新启动并输入。"},
	},
}
